//! Gathers the records of each side.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use sandbox::twilio::types::MessageFilter;
use sandbox::types::{WebhookFilter, WebhookKind};
use serde_json::Value;
use tests::api::TenantApi;
use tests::app::Received as Event;

use crate::drive::Diary;
use crate::logs::{Logs, Outbound, Reached, Received, Stored, Webhook};
use crate::tenant::Tenant;
use crate::world::World;

/// Messages that are read concurrently.
const AT_ONCE: usize = 16;

pub async fn logs(world: &World, diary: &Diary) -> Result<Logs> {
    let tenant_of: BTreeMap<&str, &str> =
        world.tenants.iter().map(|tenant| (tenant.account.account_sid.as_str(), tenant.name.as_str())).collect();
    let name = |account: &str| tenant_of.get(account).copied().unwrap_or(account).to_owned();
    let mut logs = {
        let diary = diary.open();
        let (asked, webhooks, keywords) = (diary.asked.clone(), diary.webhooks.clone(), diary.keywords.clone());
        Logs { asked, webhooks, keywords, ..Logs::default() }
    };
    for message in world.control.messages(&MessageFilter::default()).await? {
        if message.direction == "inbound" {
            continue;
        }
        logs.provider.push(Outbound {
            tenant: name(&message.account),
            sid: message.sid,
            text: message.body,
            template: message.content_sid,
            taken_at: message.history.first().map(|change| change.at).unwrap_or_default(),
            attempt: message.status_callback.as_deref().and_then(attempt_in).map(str::to_owned),
            statuses: message.history.into_iter().map(|change| change.status).collect(),
        });
    }
    for webhook in world.control.webhooks(&WebhookFilter::default()).await? {
        logs.webhooks.push(Webhook {
            tenant: name(&webhook.account),
            sid: webhook.message_sid,
            reports: match webhook.kind {
                WebhookKind::Inbound | WebhookKind::Fallback => "received".to_owned(),
                WebhookKind::Status | WebhookKind::Event => webhook.message_status,
            },
            answers: webhook.attempts.iter().map(|attempt| attempt.status).collect(),
            faults: webhook.faults,
        });
    }
    for tenant in world.tenants.iter() {
        logs.received.extend(tenant.app.log().into_iter().map(|event| received(&tenant.name, event)));
        logs.stored.extend(stored(world, tenant).await?);
    }
    logs.stored_inbound = stored_inbound(world).await?;
    Ok(logs)
}

/// Our attempt id is the last part of the path of an attempt's callback URL.
fn attempt_in(callback: &str) -> Option<&str> {
    let path = callback.split(['#', '?']).next()?;
    path.rsplit('/').next().filter(|last| last.starts_with("att-"))
}

fn received(application: &str, Event { id, event }: Event) -> Received {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Received {
        application: application.to_owned(),
        id,
        tenant: text(&event["tenant"]),
        kind: text(&event["type"]).rsplit('.').next().unwrap_or_default().to_owned(),
        subject: text(&event["subject"]),
        provider_message_id: event["data"]["providerMessageId"].as_str().map(str::to_owned),
        body: event.to_string(),
    }
}

/// A tenant's client of some replica. All replicas have the same state.
pub fn api(world: &World, tenant: &Tenant) -> Result<TenantApi> {
    let replica = world.replicas.iter().find(|replica| replica.runs()).context("no replica is running")?;
    Ok(TenantApi::new(format!("http://{}", replica.api), &tenant.api_key))
}

async fn stored(world: &World, tenant: &Tenant) -> Result<Vec<Stored>> {
    let api = api(world, tenant)?;
    let ids = ids(&api).await?;
    stream::iter(ids)
        .map(|id| {
            let (api, tenant) = (api.clone(), tenant.name.clone());
            async move { message(&tenant, &api.message(&id).await?) }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn ids(api: &TenantApi) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut path = "/v1/messages?limit=200".to_owned();
    loop {
        let page = api.get(&path).await?;
        anyhow::ensure!(page.status == StatusCode::OK, "listing messages: {}", page.body);
        let items = page.body["items"].as_array().context("a page has items")?;
        ids.extend(items.iter().filter_map(|item| item["id"].as_str()).map(str::to_owned));
        match page.body["nextCursor"].as_str() {
            Some(cursor) => path = format!("/v1/messages?limit=200&cursor={cursor}"),
            None => return Ok(ids),
        }
    }
}

fn message(tenant: &str, value: &Value) -> Result<Stored> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let status = |value: &Value| {
        let word = value.as_str().unwrap_or_default();
        word.parse().map_err(|error: String| anyhow::anyhow!(error))
    };
    let timeline = value["timeline"].as_array().context("a message has a timeline")?;
    Ok(Stored {
        tenant: tenant.to_owned(),
        id: text(&value["id"]).context("a message has an id")?,
        key: text(&value["metadata"]["key"]).unwrap_or_default(),
        status: status(&value["status"])?,
        reason: text(&value["reason"]["text"]),
        provider_message_id: text(&value["providerMessageId"]),
        timeline: timeline
            .iter()
            .map(|line| {
                Ok(Reached {
                    status: status(&line["status"])?,
                    attempt: text(&line["attempt"]),
                    reason: text(&line["reason"]["text"]),
                    at: text(&line["at"]).unwrap_or_default(),
                })
            })
            .collect::<Result<_>>()?,
    })
}

async fn stored_inbound(world: &World) -> Result<Option<Vec<(String, String)>>> {
    let rows = world.database.query("SELECT tenant, provider_message_id FROM inbound_messages").await?;
    Ok(rows.map(|rows| {
        rows.lines().filter_map(|row| row.split_once('|')).map(|(t, sid)| (t.to_owned(), sid.to_owned())).collect()
    }))
}
