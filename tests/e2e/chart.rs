//! The chart, by the real Helm.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use tests::chart::{REQUIRED, render};
use tests::cluster::Cluster;
use tests::process::{binary, output, root, tool};

async fn helm(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let mut command = Command::new(tool("helm")?);
    command.env("KUBECONFIG", cluster.kubeconfig()).args(args);
    output(command).await
}

#[tokio::test]
async fn the_chart_is_linted_installed_upgraded_and_removed() -> Result<()> {
    // Of its own, because the chart brings the CRDs, and the shared cluster has them already.
    let cluster = Cluster::start()?;
    let chart = root().join("charts/whatsapp-operator").to_string_lossy().into_owned();
    let url = "publicBaseUrl=https://whatsapp.example.com,image.repository=registry.example.com/whatsapp";
    helm(&cluster, &["lint", "--strict", &chart, "--set", url]).await?;

    let release = ["whatsapp", &chart, "--namespace", "whatsapp-system"];
    let notes = helm(&cluster, &[&["install"], &release[..], &["--create-namespace", "--set", url]].concat()).await?;
    ensure!(notes.contains("STATUS: deployed"), "{notes}");
    let kinds = cluster.kubectl(&["api-resources", "--api-group=whatsapp-operator.dev", "--output=name"]).await?;
    ensure!(kinds.lines().count() == 3, "{kinds}");
    let deployed = cluster
        .kubectl(&["get", "deployments,statefulsets,services,serviceaccounts", "--namespace", "whatsapp-system"])
        .await?;
    ensure!(deployed.contains("operator") && deployed.contains("data-plane"), "{deployed}");

    let upgraded =
        helm(&cluster, &[&["upgrade"], &release[..], &["--set", url, "--set", "operator.logFormat=text"]].concat())
            .await?;
    ensure!(upgraded.contains("REVISION: 2"), "{upgraded}");

    helm(&cluster, &["uninstall", "whatsapp", "--namespace", "whatsapp-system"]).await?;
    let left = cluster
        .kubectl(&[
            "get",
            "deployments,statefulsets,services,roles,rolebindings",
            "--namespace",
            "whatsapp-system",
            "--output=name",
        ])
        .await?;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    // Removing the chart must not remove every tenant's senders and templates.
    let kinds = cluster.kubectl(&["api-resources", "--api-group=whatsapp-operator.dev", "--output=name"]).await?;
    ensure!(kinds.lines().count() == 3, "{kinds}");
    Ok(())
}

#[tokio::test]
async fn a_value_that_the_chart_does_not_know_is_refused() -> Result<()> {
    let chart = root().join("charts/whatsapp-operator").to_string_lossy().into_owned();
    let template = async |set: &str| -> Result<String> {
        let mut command = Command::new(tool("helm")?);
        command.args(["template", "whatsapp", &chart, "--set", set]);
        output(command).await
    };
    let unknown =
        template("publicBaseUrl=https://whatsapp.example.com,image.repository=images,publicBaseURL=typo").await;
    ensure!(unknown.as_ref().is_err_and(|e| e.to_string().contains("publicBaseURL")), "{unknown:?}");
    let missing = template("image.repository=images").await;
    ensure!(missing.as_ref().is_err_and(|e| e.to_string().contains("publicBaseUrl")), "{missing:?}");
    Ok(())
}

#[tokio::test]
async fn the_arguments_that_the_chart_gives_are_those_that_the_programs_take() -> Result<()> {
    let more = [
        ("twilioBaseUrl", "https://proxy.example.com"),
        ("watchNamespaces", "{shop,bakery}"),
        ("dataPlane.allowPrivateSinks", "true"),
    ];
    let objects = render("whatsapp", "whatsapp-system", &[&REQUIRED[..], &more[..]].concat()).await?;
    for (kind, program) in [("Deployment", "whatsapp-operator"), ("StatefulSet", "whatsapp-dataplane")] {
        let of_kind = |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == kind);
        let workload = objects.iter().find(of_kind).with_context(|| format!("the chart has no {kind}"))?;
        let arguments = &workload.data["spec"]["template"]["spec"]["containers"][0]["args"];
        let arguments: Vec<String> = serde_json::from_value(arguments.clone())?;
        // What comes before --help is read, and refused when it is unknown.
        let mut command = Command::new(binary(program)?);
        command.args(&arguments).arg("--help");
        output(command).await.with_context(|| format!("{program} does not take {arguments:?}"))?;
    }
    Ok(())
}
