//! Two operators, of which the one that led hangs for longer than its Lease lasts.

use anyhow::{Result, ensure};
use sandbox::types::{RequestEffect, RequestFault, RequestFilter};
use serde_json::json;
use tests::cluster::Cluster;
use tests::eventually::eventually;
use tests::world::{Options, Tenant, World};

const CREATE: &str = "^/v1/Content$";
const SUBMIT: &str = "/ApprovalRequests/";
const TEMPLATES: [&str; 4] = ["order-shipped", "order-delayed", "order-arrived", "order-returned"];

async fn posts(world: &World, path: &str) -> Result<usize> {
    let filter = RequestFilter { method: Some("POST".into()), path: Some(path.to_owned()), ..RequestFilter::default() };
    Ok(world.control.requests(&filter).await?.len())
}

/// How many calls there were that may change something at the provider.
async fn writes(world: &World) -> Result<usize> {
    let requests = world.control.requests(&RequestFilter::default()).await?;
    Ok(requests.iter().filter(|request| request.method != "GET").count())
}

/// The versions of everything that the data plane runs.
async fn configs(world: &World) -> Result<String> {
    let versions = "jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}\n{end}";
    world.cluster.kubectl(&["get", "secrets", "--namespace", &world.system, "--output", versions]).await
}

async fn limit(world: &World, shop: &Tenant, messages_per_second: u32) -> Result<()> {
    let limits = json!({"limits": {"messagesPerSecond": messages_per_second}});
    world.cluster.apply(&[shop.sender(&limits)?], None).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    world.in_data_plane("whatsappsender", &shop.namespace, "support").await
}

#[tokio::test]
async fn a_leader_that_hangs_in_the_middle_of_its_work_repeats_and_overwrites_nothing_when_it_goes_on() -> Result<()> {
    let operator = &["--lease-duration", "6s", "--renew-deadline", "4s", "--lease-retry", "1s"];
    let options = Options { operator, ..Options::default() };
    let mut world = World::start_in(Cluster::shared().await?, &["shop"], options).await?;
    let shop = world.tenant(0).await?;
    let mut other = world.another_operator()?;

    // The provider creates the templates, and its answers come when the leader hangs.
    let create = Some(CREATE.to_owned());
    let slow = RequestEffect::AnswerDelay { ms: 3000 };
    let slow = RequestFault { path: create, count: Some(4), ..RequestFault::new(slow) };
    world.control.add_request_fault(slow).await?;
    let one = json!({"localizations": [{"language": "en_US", "body": "Hello {{1}}, there is news about your order at our shop."}]});
    let templates: Vec<_> = TEMPLATES.iter().map(|name| shop.template(name, &one)).collect::<Result<_>>()?;
    world.cluster.apply(&templates, None).await?;
    eventually("the provider has every template", async || match posts(&world, CREATE).await {
        Ok(4) => Ok(()),
        created => Err(format!("{created:?}")),
    })
    .await?;
    world.operator.freeze()?;

    // Another one does that work and what comes after it.
    for template in TEMPLATES {
        world.ready("messagetemplate", &shop.namespace, template).await?;
        world.in_data_plane("messagetemplate", &shop.namespace, template).await?;
    }
    limit(&world, &shop, 40).await?;
    limit(&world, &shop, 60).await?;
    ensure!((posts(&world, CREATE).await?, posts(&world, SUBMIT).await?) == (4, 4), "nothing is made twice");

    let (writes_before, configs_before) = (writes(&world).await?, configs(&world).await?);
    world.operator.thaw()?;
    let ended = world.operator.ended().await?;
    ensure!(ended.code() == Some(3), "{ended}");
    let (writes, configs) = (writes(&world).await?, configs(&world).await?);
    ensure!(writes == writes_before, "{writes} calls, and {writes_before} before it went on");
    ensure!(configs == configs_before, "{configs}, and before it went on {configs_before}");
    other.still_running()?;
    limit(&world, &shop, 50).await
}
