//! The provider's official documents, which are read where they are and never copied.

use std::path::PathBuf;

use serde_json::Value;

/// The folder of the official OpenAPI documents: `TWILIO_OPENAPI_DIR`, or beside the repository.
fn openapi_dir() -> PathBuf {
    let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    std::env::var_os("TWILIO_OPENAPI_DIR")
        .map_or_else(|| workspace.join("../shared/reference/twilio/openapi"), PathBuf::from)
}

/// The official OpenAPI documents; `None`, and a word why, where they are not.
pub(crate) fn openapi() -> Option<Vec<Value>> {
    let dir = openapi_dir();
    let Ok(entries) = std::fs::read_dir(&dir) else {
        eprintln!("skipped: {} is not there; set TWILIO_OPENAPI_DIR to a folder with Twilio's OpenAPI", dir.display());
        return None;
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let jsons = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    Some(jsons.map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect())
}

/// The official SDKs' signature vectors; `None`, and a word why, where they are not.
pub(crate) fn signature_vectors() -> Option<Vec<Value>> {
    let path = openapi_dir().join("../signature_vectors.json");
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("skipped: {} is not there; set TWILIO_OPENAPI_DIR to the folder beside it", path.display());
        return None;
    };
    let document: Value = serde_json::from_slice(&text).unwrap();
    Some(document["vectors"].as_array().unwrap().clone())
}
