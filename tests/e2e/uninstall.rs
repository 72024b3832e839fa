//! What an uninstallation leaves behind.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sandbox::types::RequestFilter;
use serde_json::json;
use tests::process::{binary, output};
use tests::world::World;

#[tokio::test]
async fn tokens_go_with_the_operator_except_where_it_still_has_to_clean_up() -> Result<()> {
    let mut world = World::start(&["shop", "bakery"]).await?;
    let (shop, bakery) = (world.tenant(0).await?, world.tenant(1).await?);
    // The template is deleted at the provider when it is deleted here, which needs the tenant's tokens.
    world.cluster.apply(&[shop.template("order-shipped", &json!({}))?], None).await?;
    world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    world.operator.kill()?;

    // With the rights of the chart's hook.
    let directory = tempfile::tempdir()?;
    let kubeconfig = directory.path().join("kubeconfig");
    let account = format!("{}-uninstall", world.accounts.operator);
    world.cluster.kubeconfig_of(&world.system, &account, &kubeconfig).await?;
    let mut command = Command::new(binary("whatsapp-operator")?);
    command.args(["remove-configs", "--config-namespace", &world.system]).env("KUBECONFIG", &kubeconfig);
    output(command).await?;

    let secrets = ["get", "secrets", "--namespace", &world.system, "--output=name"];
    let left = world.cluster.kubectl(&secrets).await?;
    ensure!(left.contains(&format!("whatsapp-tenant-{}", shop.namespace)), "{left}");
    ensure!(!left.contains(&format!("whatsapp-tenant-{}", bakery.namespace)), "{left}");
    Ok(())
}

#[tokio::test]
async fn what_waits_for_an_operator_that_is_gone_can_be_released() -> Result<()> {
    let mut world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    world.cluster.apply(&[shop.template("order-shipped", &json!({}))?], None).await?;
    let object = world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    let handle = object["status"]["locations"][0]["serving"]["handle"].as_str().context("a handle")?;
    let named = ["--namespace", &shop.namespace, "--config-namespace", &world.system];
    let admin = world.cluster.kubeconfig().to_owned();

    let refused = release(&admin, &[&named[..], &["--execute"]].concat()).await?;
    ensure!(refused.code == Some(4) && refused.stderr.contains("an operator lives: operator-0_"), "{refused:?}");

    world.operator.kill()?;
    let delete = ["delete", "messagetemplate", "order-shipped", "--namespace", &shop.namespace, "--wait=false"];
    world.cluster.kubectl(&delete).await?;
    // Nobody renews the Lease any more. It ends sooner, so that the test need not wait.
    let short = r#"--patch={"spec":{"leaseDurationSeconds":1}}"#;
    let lease = ["patch", "lease", "whatsapp-operator", "--namespace", &world.system, "--type=merge", short];
    world.cluster.kubectl(&lease).await?;
    let deletions = RequestFilter { method: Some("DELETE".into()), ..RequestFilter::default() };
    let before = world.control.requests(&deletions).await?.len();

    // The hook's account may list the kinds, and nothing else in the tenants' namespaces.
    let directory = tempfile::tempdir()?;
    let kubeconfig = directory.path().join("kubeconfig");
    let account = format!("{}-uninstall", world.accounts.operator);
    world.cluster.kubeconfig_of(&world.system, &account, &kubeconfig).await?;
    let forbidden = release(&kubeconfig, &named).await?;
    ensure!(forbidden.code == Some(5) && forbidden.stderr.contains("the right to get leases"), "{forbidden:?}");

    let waiting = world.get("messagetemplate", &shop.namespace, "order-shipped").await?;
    let told = format!("messagetemplates {}/order-shipped\n  stays: the template {handle}", shop.namespace);
    let everywhere = ["--all-namespaces", "--config-namespace", &world.system];
    for scope in [&named[..], &everywhere] {
        let dry = release(&admin, scope).await?;
        ensure!(dry.code == Some(0) && dry.stdout.contains(&told), "{dry:?}");
        ensure!(world.get("messagetemplate", &shop.namespace, "order-shipped").await? == waiting, "{dry:?}");
    }

    let released = release(&admin, &[&named[..], &["--execute"]].concat()).await?;
    ensure!(released.code == Some(0) && released.stdout.contains(&told), "{released:?}");
    ensure!(released.stdout.contains("\n  released\n"), "{released:?}");
    let left = ["get", "messagetemplates", "--namespace", &shop.namespace, "--output=name"];
    ensure!(world.cluster.kubectl(&left).await?.is_empty(), "the object is gone");
    ensure!(world.control.requests(&deletions).await?.len() == before, "the template stays at the provider");
    Ok(())
}

/// What a call of the command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn release(kubeconfig: &Path, arguments: &[&str]) -> Result<Said> {
    let mut command = tokio::process::Command::new(binary("whatsapp-operator")?);
    command.arg("release").args(arguments).env("KUBECONFIG", kubeconfig).kill_on_drop(true);
    let output = command.output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}
