//! The kinds of sink. A new kind is a file here, a variant of [`SinkConfig`], and an arm in each of the two matches
//! below.

pub mod http;

use std::sync::Arc;

use messaging::config::SinkConfig;

use crate::sink::{InvalidSink, OpenSink, Sink};
use crate::store::message::SinkId;

/// How sinks are opened in this process. With `allow_private`, a sink may have a private address, as in a sidecar.
pub fn opener(allow_private: bool) -> Result<OpenSink, reqwest::Error> {
    let http = http::Client::new(allow_private)?;
    Ok(Arc::new(move |id, config| open(id, config, &http)))
}

fn open(id: SinkId, config: &SinkConfig, http: &http::Client) -> Result<Arc<dyn Sink>, InvalidSink> {
    match config {
        SinkConfig::Http(config) => Ok(Arc::new(http::Target::new(id, config, http.clone())?)),
    }
}
