//! Writes the objects down as YAML, after a comment that says what they are and what is missing.

use serde_json::Value;

use super::{Export, LeftOut};

pub(super) fn write(options: &Export, objects: &[Value], left_out: &[LeftOut]) -> Result<String, serde_yaml::Error> {
    let Export { account, secret, .. } = options;
    let mut lines = vec![
        format!("What the account {account} has, as objects of whatsapp-operator."),
        String::new(),
        "Applied, they change nothing at the provider. Templates are adopted by their ids, without a new review, and are".to_owned(),
        "never deleted. Senders are paused: their webhooks stay where they are, and they send nothing. To switch one over,".to_owned(),
        "remove its annotation whatsapp-operator.dev/paused.".to_owned(),
        String::new(),
        "The account's credentials are not in here. Before you apply this, put them where the senders look for them:".to_owned(),
        format!("  kubectl create secret generic {secret} --from-literal=authToken=..."),
    ];
    if !left_out.is_empty() {
        lines.extend([String::new(), format!("Left out ({}):", left_out.len())]);
        lines.extend(left_out.iter().map(|one| format!("  - {}", one_line(&one.to_string()))));
    }
    let mut text = String::new();
    for line in &lines {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(object)?);
    }
    Ok(text)
}

/// A line break would end the comment.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}'))
        .collect::<Vec<_>>()
        .join(" ")
}
