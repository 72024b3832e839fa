//! The kinds of sink. A new kind is a file here, a variant of [`SinkConfig`], and an arm in each of the two matches below.

pub mod http;

use std::sync::Arc;

use messaging::config::SinkConfig;

use crate::sink::{InvalidSink, OpenSink, Sink};
use crate::store::message::SinkId;

/// How sinks are opened in this process. With `allow_private`, a sink may have a private address, as in a sidecar.
pub fn opener(allow_private: bool) -> Result<OpenSink, reqwest::Error> {
    let http = http::Client::new(allow_private)?;
    Ok(Arc::new(move |config| open(config, &http)))
}

fn open(config: &SinkConfig, http: &http::Client) -> Result<Arc<dyn Sink>, InvalidSink> {
    match config {
        SinkConfig::Http(config_of_http) => {
            Ok(Arc::new(http::Target::new(id_of(config), config_of_http, http.clone())?))
        }
    }
}

/// The only place that names a sink. The id is opaque everywhere else: stored events carry it, so changing how it is
/// made orphans the events that wait.
fn id_of(config: &SinkConfig) -> SinkId {
    match config {
        SinkConfig::Http(http) => SinkId::new(http.url.as_str()),
    }
}
