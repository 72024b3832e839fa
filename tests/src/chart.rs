//! Renders the chart with the real Helm, so that tests use the RBAC rules that are installed.

use std::process::Command;

use anyhow::{Context, Result};
use kube::api::DynamicObject;

use crate::cluster::{Cluster, documents};
use crate::process::{output, root, tool};

/// The ServiceAccounts of a release of the chart.
#[derive(Debug, Clone)]
pub struct ServiceAccounts {
    pub operator: String,
    pub data_plane: String,
}

/// The values without a default.
pub const REQUIRED: [(&str, &str); 2] =
    [("publicBaseUrl", "https://whatsapp.example.com"), ("image.repository", "registry.example.com/whatsapp")];

/// The objects of `helm template`.
pub async fn render(release: &str, namespace: &str, values: &[(&str, &str)]) -> Result<Vec<DynamicObject>> {
    let mut command = Command::new(tool("helm")?);
    command.args(["template", release]).arg(root().join("charts/whatsapp-operator")).args(["--namespace", namespace]);
    for (key, value) in values {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    documents(&output(command).await?)
}

/// Applies only the chart's ServiceAccounts and RBAC rules, with `more` values.
pub async fn install_rbac(
    cluster: &Cluster,
    release: &str,
    namespace: &str,
    watch: &[String],
    more: &[(&str, &str)],
) -> Result<ServiceAccounts> {
    let watched = format!("{{{}}}", watch.join(","));
    let mut values = [&REQUIRED[..], more].concat();
    if !watch.is_empty() {
        values.push(("watchNamespaces", watched.as_str()));
    }
    let objects = render(release, namespace, &values).await?;
    let kind = |object: &DynamicObject| object.types.as_ref().map(|t| t.kind.clone()).unwrap_or_default();
    let rules: Vec<DynamicObject> = objects
        .into_iter()
        .filter(|o| {
            matches!(kind(o).as_str(), "ServiceAccount" | "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding")
        })
        .collect();
    cluster.apply(&rules, Some(namespace)).await?;
    let account = |component: &str| {
        rules
            .iter()
            .find(|o| {
                kind(o) == "ServiceAccount"
                    && o.metadata
                        .labels
                        .as_ref()
                        .and_then(|l| l.get("app.kubernetes.io/component"))
                        .is_some_and(|c| c == component)
            })
            .and_then(|o| o.metadata.name.clone())
            .with_context(|| format!("the chart has no ServiceAccount with app.kubernetes.io/component={component}"))
    };
    Ok(ServiceAccounts { operator: account("operator")?, data_plane: account("data-plane")? })
}
