//! Pages of lists.

use serde_json::Value;

use crate::support::{Bench, FROM, TO};

fn sids(list: &Value, key: &str) -> Vec<String> {
    list[key].as_array().unwrap().iter().map(|item| item["sid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn messages_come_newest_first_in_pages_that_link_relatively() {
    let bench = Bench::start().await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.insert(0, bench.sent(&[("Body", "Hello")]).await);
    }
    let mut seen = Vec::new();
    let mut path = format!("{}?PageSize=2&To={}", bench.path("Messages.json"), TO.replace('+', "%2B"));
    loop {
        let (_, page) = bench.get(&path).await;
        seen.extend(sids(&page, "messages"));
        // A message that is sent meanwhile neither repeats nor hides another.
        bench.sent(&[("Body", "Hello")]).await;
        match page["next_page_uri"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
        assert!(path.starts_with("/2010-04-01/"), "{path}");
    }
    assert_eq!(seen, sent);
    let (_, none) = bench.get(&format!("{}?To={}", bench.path("Messages.json"), FROM.replace('+', "%2B"))).await;
    assert!(sids(&none, "messages").is_empty());
}

#[tokio::test]
async fn newer_lists_link_absolutely_to_the_host_that_was_called() {
    let bench = Bench::start().await;
    for name in ["a", "b", "c"] {
        bench.content(name, "Hello").await;
    }
    // Another name for the same host: the links must keep it.
    let host = format!("localhost:{}", bench.sandbox.address().port());
    let url = format!("http://{host}/v2/ContentAndApprovals?PageSize=2&ContentName=.");
    let (_, first) = bench.get(&url).await;
    let next = first["meta"]["next_page_url"].as_str().unwrap();
    assert!(
        next.starts_with(&format!("http://{host}/v2/ContentAndApprovals?ContentName=.&PageSize=2&Page=1")),
        "{next}"
    );
    let (_, second) = bench.get(next).await;
    assert_eq!(sids(&first, "contents").len() + sids(&second, "contents").len(), 3);
    assert_eq!(second["meta"]["next_page_url"], Value::Null);
    let (_, back) = bench.get(second["meta"]["previous_page_url"].as_str().unwrap()).await;
    assert_eq!(sids(&back, "contents"), sids(&first, "contents"));
}

#[tokio::test]
async fn a_public_base_replaces_the_host_in_links() {
    let config = sandbox::Config { public_base: Some("https://api.example.com".to_owned()), ..Default::default() };
    let bench = Bench::start_with(config).await;
    let (_, list) = bench.get("/v1/Services").await;
    assert!(list["meta"]["url"].as_str().unwrap().starts_with("https://api.example.com/v1/Services?"));
}

#[tokio::test]
async fn a_page_has_at_most_a_thousand_items() {
    let bench = Bench::start().await;
    assert_eq!(bench.get("/v1/Services?PageSize=1001").await.0, 400);
    assert_eq!(bench.get("/v1/Services?PageSize=1000").await.0, 200);
    assert_eq!(bench.get("/v1/Services?PageSize=zero").await.0, 400);
}
