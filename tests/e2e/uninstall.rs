//! What an uninstallation leaves behind.

use std::process::Command;

use anyhow::{Result, ensure};
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
