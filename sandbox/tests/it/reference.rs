//! Twilio's own documents. They are not part of this repository: a variable names where they are. Without it the tests
//! that need them prove nothing, and say so on stderr.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The official OpenAPI documents, from the folder that `TWILIO_OPENAPI_DIR` names.
pub(crate) fn openapi() -> Option<Vec<Value>> {
    let folder = named_by("TWILIO_OPENAPI_DIR", "the folder of Twilio's OpenAPI documents")?;
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let documents: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| json(&path))
        .collect();
    assert!(!documents.is_empty(), "{}: no *.json in it", folder.display());
    Some(documents)
}

/// The signature vectors of Twilio's SDKs, from the file that `TWILIO_SIGNATURE_VECTORS` names.
pub(crate) fn signature_vectors() -> Option<Vec<Value>> {
    let path = named_by("TWILIO_SIGNATURE_VECTORS", "a file of signature vectors")?;
    Some(json(&path)["vectors"].as_array().unwrap().clone())
}

fn named_by(variable: &str, what: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        // The harness captures what print macros write, and shows nothing of a test that passes.
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED {test}: {variable} does not name {what}").unwrap();
    }
    path
}

fn json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}
