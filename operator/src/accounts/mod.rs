//! Access to provider accounts: one adapter, one budget and one copy of each list for everything that uses the same
//! credentials, so that calls grow with the accounts and not with the objects.

pub mod account;
pub mod budget;
mod shared;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use messaging::config::ProviderAccount;
use messaging::provider::AccountAdmin;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

pub use account::Account;

use crate::leader::tenure::Tenure;
use crate::metrics::Metrics;

/// Makes the adapter of an account, without calling the provider.
pub type Connect = Arc<dyn Fn(&ProviderAccount) -> Arc<dyn AccountAdmin> + Send + Sync>;

/// Credentials that were not used for this long are forgotten.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// Every account in use, by its credentials.
pub struct Accounts {
    connect: Connect,
    metrics: Arc<Metrics>,
    tenure: Tenure,
    cached: Mutex<HashMap<[u8; 32], CachedAccount>>,
    #[cfg(test)]
    pub(crate) is_unlimited: bool,
}

struct CachedAccount {
    account: Arc<Account>,
    used: Instant,
}

impl Accounts {
    pub fn new(connect: Connect, metrics: Arc<Metrics>) -> Self {
        Self {
            connect,
            metrics,
            tenure: Tenure::default(),
            cached: Mutex::default(),
            #[cfg(test)]
            is_unlimited: false,
        }
    }

    /// The same, where nothing is changed at a provider after this process's tenure.
    #[must_use]
    pub fn during(self, tenure: Tenure) -> Self {
        Self { tenure, ..self }
    }

    /// The account that these credentials open. Two tenants that name the same account with different credentials share
    /// nothing, so a tenant without another's secret cannot use up its budget.
    pub fn get(&self, access: &ProviderAccount) -> Arc<Account> {
        let now = Instant::now();
        let mut cached = self.cached.lock();
        cached.retain(|_, cached| now.saturating_duration_since(cached.used) < KEPT_FOR);
        let entry = cached.entry(fingerprint(access)).or_insert_with(|| {
            let admin = (self.connect)(access);
            let account = Account::new(access.account_key().to_owned(), admin, Arc::clone(&self.metrics))
                .during(self.tenure.clone());
            #[cfg(test)]
            account.set_unlimited(self.is_unlimited);
            CachedAccount { account: Arc::new(account), used: now }
        });
        entry.used = now;
        Arc::clone(&entry.account)
    }
}

/// Distinguishes credentials without keeping a secret as a key.
fn fingerprint(access: &ProviderAccount) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in access.caller() {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use messaging::address::PhoneNumber;
    use messaging::config::TwilioAccount;
    use messaging::id::PoolId;
    use messaging::provider::admin::{
        SenderAdmin as _, TemplateAdmin as _, TemplateHandle, TemplateRevision, WebhookTargets,
    };
    use messaging::secret::Secret;
    use messaging::template::{Approval, LocalizedContent, TemplateCategory};

    use super::*;
    use crate::leader::tenure::Deadline;
    use crate::metrics::OPERATIONS;
    use crate::testing::FakeAdmin;
    use crate::testing::api::FakeApi;
    use crate::testing::registrations::registration;

    fn access(password: &str) -> ProviderAccount {
        ProviderAccount::Twilio(TwilioAccount {
            account_sid: "AC0123456789abcdef0123456789abcdef".into(),
            username: "AC0123456789abcdef0123456789abcdef".into(),
            password: Secret::new(password),
            webhook_keys: vec![],
            messaging_service_sid: None,
            base_url: None,
        })
    }

    fn accounts(admin: Arc<FakeAdmin>) -> (Accounts, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let connect: Connect = Arc::new(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Arc::clone(&admin) as _
        });
        (Accounts::new(connect, Arc::new(Metrics::new().unwrap())), made)
    }

    #[tokio::test]
    async fn the_same_credentials_share_one_account_and_others_share_nothing() {
        let (accounts, made) = accounts(Arc::new(FakeAdmin::default()));
        let first = accounts.get(&access("secret"));
        assert!(Arc::ptr_eq(&first, &accounts.get(&access("secret"))));
        assert!(!Arc::ptr_eq(&first, &accounts.get(&access("guessed"))));
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_hundred_objects_that_ask_for_the_templates_make_one_call() {
        let admin = Arc::new(FakeAdmin::default());
        admin.add_template("HX1", "greeting", "de", Approval::Pending);
        let (accounts, _) = accounts(Arc::clone(&admin));
        let account = accounts.get(&access("secret"));
        let age = Duration::from_secs(60);
        let lists = futures::future::join_all((0..100).map(|_| account.templates(age, |_| true))).await;
        assert!(lists.iter().all(|list| list.as_ref().is_ok_and(|list| list.len() == 1)));
        assert_eq!(admin.calls("list_templates"), 1);

        account.templates(Duration::ZERO, |_| true).await.unwrap();
        assert_eq!(admin.calls("list_templates"), 2);
    }

    #[tokio::test]
    async fn a_hundred_senders_of_an_account_make_one_call_and_a_write_makes_one_more_for_its_own_sender() {
        let admin = Arc::new(FakeAdmin::default());
        let numbers: Vec<PhoneNumber> = (0..100).map(|n| format!("+1415555{n:04}").parse().unwrap()).collect();
        for number in &numbers {
            admin.add_sender(number.as_str(), &format!("XE{number}"));
        }
        let (accounts, _) = accounts(Arc::clone(&admin));
        let account = accounts.get(&access("secret"));
        let age = Duration::from_secs(150);
        let found = futures::future::join_all(numbers.iter().map(|number| account.sender(number, age))).await;
        let handles: BTreeSet<_> = found.into_iter().map(|sender| sender.unwrap().unwrap().handle).collect();
        assert_eq!((handles.len(), admin.calls("list_senders")), (100, 1));
        assert_eq!(account.sender(&"+14150000000".parse().unwrap(), age).await, Ok(None));

        let sender = account.sender(&numbers[0], age).await.unwrap().unwrap();
        account.configure_webhooks(&sender, None, &WebhookTargets::default()).await.unwrap();
        account.sender(&numbers[1], age).await.unwrap();
        assert_eq!(admin.calls("list_senders"), 1);
        account.sender(&numbers[0], age).await.unwrap();
        assert_eq!(admin.calls("list_senders"), 2);
    }

    #[tokio::test]
    async fn a_hundred_senders_of_an_account_check_its_credentials_once_and_again_after_any_refusal() {
        let admin = Arc::new(FakeAdmin::default());
        let (accounts, _) = accounts(Arc::clone(&admin));
        let account = accounts.get(&access("secret"));
        let (key, age) = (Secret::new("token"), Duration::from_secs(60));
        let calls = || (admin.calls("check_credentials"), admin.calls("check_webhook_key"));
        let check = async || {
            let all =
                (0..100).map(|_| async { (account.are_accepted(age).await, account.is_accepted(&key, age).await) });
            futures::future::join_all(all).await.into_iter().all(|both| both == (Ok(()), Ok(())))
        };
        assert!(check().await);
        assert_eq!(calls(), (1, 1));
        account.is_accepted(&Secret::new("another"), age).await.unwrap();
        account.are_accepted(Duration::ZERO).await.unwrap();
        assert_eq!(calls(), (2, 2));
        admin.fail_next(500, None);
        account.list_senders().await.unwrap_err();
        assert!(check().await);
        assert_eq!(calls(), (2, 2));
        admin.fail_next(401, None);
        account.list_senders().await.unwrap_err();
        assert!(check().await);
        assert_eq!(calls(), (3, 3));
    }

    #[tokio::test]
    async fn as_many_keys_as_a_rotation_has_are_remembered_and_no_more() {
        let admin = Arc::new(FakeAdmin::default());
        let (accounts, _) = accounts(Arc::clone(&admin));
        let account = accounts.get(&access("secret"));
        for _ in 0..2 {
            for n in 0..20 {
                account.set_unlimited(true);
                account.is_accepted(&Secret::new(format!("key {n}")), Duration::from_secs(60)).await.unwrap();
            }
        }
        assert_eq!(admin.calls("check_webhook_key"), 40);
    }

    #[tokio::test]
    async fn the_budget_of_an_account_counts_every_request_of_a_call() {
        for operation in ["list senders", "find a sender", "list templates", "list pools", "find a pool", "list keys"] {
            let admin = Arc::new(FakeAdmin::default());
            admin.take_more_requests(300);
            let (accounts, _) = accounts(admin);
            let account = accounts.get(&access("secret"));
            let (pools, keys) = (account.pools().unwrap(), account.keys().unwrap());
            match operation {
                "list senders" => drop(account.list_senders().await.unwrap()),
                "find a sender" => drop(account.find_sender(&"+14150000000".parse().unwrap()).await.unwrap()),
                "list templates" => drop(account.list_templates().await.unwrap()),
                "list pools" => drop(pools.list_pools().await.unwrap()),
                "find a pool" => drop(pools.find_pool(&PoolId::new("MG1")).await.unwrap()),
                _ => drop(keys.list_keys().await.unwrap()),
            }
            let error = account.check_credentials().await.expect_err(operation);
            assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_secs(10)), "{operation}: {error:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_changed_at_a_provider_after_the_tenure_and_everything_may_be_read() {
        let api = Arc::<FakeApi>::default();
        let leases = Box::new(kube::Api::default_namespaced(api.client()));
        let tenure = |deadline| Tenure::Elected {
            leases: leases.clone(),
            lease: "operator".into(),
            me: "first".into(),
            deadline: Deadline::new(deadline),
        };
        for (has_ended, writes) in [(true, 0), (false, 1)] {
            let admin = Arc::new(FakeAdmin::default());
            admin.add_sender("+14150000000", "XE1");
            admin.add_pool("MG1", &[]);
            let now = Instant::now();
            let (accounts, _) = accounts(Arc::clone(&admin));
            let accounts = accounts.during(tenure(if has_ended { now } else { now + Duration::from_secs(3600) }));
            let account = accounts.get(&access("secret"));
            let sender = account.sender(&"+14150000000".parse().unwrap(), Duration::ZERO).await.unwrap().unwrap();
            account.templates(Duration::ZERO, |_| true).await.unwrap();
            let (keys, tokens) = (account.keys().unwrap(), account.tokens().unwrap());
            let pools = account.pools().unwrap();
            let registrations = account.registrations().unwrap();
            keys.list_keys().await.unwrap();
            let streams = account.streams().unwrap();
            streams.list_streams().await.unwrap();
            let revision = revision("a");
            let handle = TemplateHandle::new("HX0");
            let written = [
                account.create_template(&revision).await.map(drop),
                account.submit_template(&handle, &revision).await,
                account.delete_template(&handle).await,
                account.configure_webhooks(&sender, None, &WebhookTargets::default()).await,
                keys.mint_key("a").await.map(drop),
                keys.revoke_key("SK1").await,
                tokens.create_next_token().await.map(drop),
                tokens.discard_next_token().await,
                pools.add_member(&PoolId::new("MG1"), "XE1").await.map(drop),
                pools.remove_member(&PoolId::new("MG1"), "XE1").await,
                registrations.register(&registration("+14150000001")).await.map(drop),
                registrations.verify("XE1", &Secret::new("123456")).await.map(drop),
                streams.create_stream("a", "https://hooks.example.com/").await.map(drop),
                streams.test_stream("DG1").await,
                streams.confirm_stream("DG1", "TE2").await,
                streams.subscribe("DG1", "a").await.map(drop),
                streams.unsubscribe("DF3").await,
                streams.delete_stream("DG1").await,
            ];
            assert!(written.iter().all(|written| written.is_err() == has_ended), "{written:?}");
            let operations = [
                "create_template",
                "submit_template",
                "delete_template",
                "configure_webhooks",
                "mint_key",
                "revoke_key",
                "create_token",
                "discard_token",
                "add_to_messaging_service",
                "remove_from_messaging_service",
                "register_sender",
                "verify_sender",
                "create_stream",
                "test_stream",
                "confirm_stream",
                "subscribe",
                "unsubscribe",
                "delete_stream",
            ];
            for operation in operations {
                assert_eq!(admin.calls(operation), writes, "{operation}");
            }
        }
    }

    #[tokio::test]
    async fn a_list_older_than_our_own_change_is_not_used_by_those_whom_it_concerns() {
        let admin = Arc::new(FakeAdmin::default());
        let (accounts, _) = accounts(Arc::clone(&admin));
        let account = accounts.get(&access("secret"));
        let lists = async |name: &str| {
            account.templates(Duration::from_secs(60), |changed| changed == name).await.unwrap();
            admin.calls("list_templates")
        };
        assert_eq!(lists("order").await, 1);
        let handle = account.create_template(&revision("order")).await.unwrap();
        assert_eq!((lists("greeting").await, lists("order").await, lists("order").await), (1, 2, 2));
        account.submit_template(&handle, &revision("order")).await.unwrap();
        assert_eq!((lists("greeting").await, lists("order").await), (2, 3));
        admin.fail_next(500, None);
        account.create_template(&revision("order")).await.expect_err("its answer is lost");
        assert_eq!((lists("greeting").await, lists("order").await), (3, 4));
        // Another object may have adopted what is deleted.
        account.delete_template(&handle).await.unwrap();
        assert_eq!((lists("greeting").await, lists("order").await), (5, 5));
    }

    #[tokio::test]
    async fn who_is_in_a_pool_is_listed_anew_after_that_was_changed_also_if_the_answer_was_lost() {
        let admin = Arc::new(FakeAdmin::default());
        admin.add_pool("MG1", &[]);
        let (accounts, _) = accounts(Arc::clone(&admin));
        let account = accounts.get(&access("secret"));
        let (pools, pool) = (account.pools().unwrap(), PoolId::new("MG1"));
        let members = async || account.every_pool(Duration::from_secs(60), "XE1").await.unwrap()[0].senders.len();
        assert_eq!(members().await, 0);
        admin.lose_answer("add_to_messaging_service");
        pools.add_member(&pool, "XE1").await.unwrap_err();
        assert_eq!(members().await, 1);
        admin.lose_answer("remove_from_messaging_service");
        pools.remove_member(&pool, "XE1").await.unwrap_err();
        assert_eq!(members().await, 0);
    }

    fn revision(name: &str) -> TemplateRevision {
        TemplateRevision {
            name: name.into(),
            language: "en".into(),
            category: TemplateCategory::Utility,
            content: LocalizedContent { body: "Hi".into(), header: None, footer: None, buttons: vec![] },
            examples: Default::default(),
        }
    }

    /// How many calls of an operation were counted, by outcome; those that were none are left out.
    fn counted(metrics: &Metrics, operation: &str) -> Vec<(String, u32)> {
        let begin = format!("whatsapp_operator_provider_calls_total{{operation=\"{operation}\",outcome=\"");
        let count = |line: &str| {
            let (outcome, count) = line.strip_prefix(&begin)?.split_once("\"} ")?;
            Some((outcome.to_owned(), count.parse().ok()?))
        };
        metrics.render().unwrap().lines().filter_map(count).filter(|(_, count)| *count > 0).collect()
    }

    fn counting_account(admin: &Arc<FakeAdmin>) -> (Account, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new().unwrap());
        (Account::new("AC1".to_owned(), Arc::clone(admin) as _, Arc::clone(&metrics)), metrics)
    }

    #[tokio::test]
    async fn every_call_is_counted_once_under_its_own_operation() {
        let admin = Arc::new(FakeAdmin::default());
        admin.add_sender("+14150000000", "XE1");
        admin.add_pool("MG1", &[]);
        let (account, metrics) = counting_account(&admin);
        account.set_unlimited(true);
        let (keys, tokens, streams) = (account.keys().unwrap(), account.tokens().unwrap(), account.streams().unwrap());
        let (pools, pool, revision) = (account.pools().unwrap(), PoolId::new("MG1"), revision("order"));
        let sender = account.sender(&"+14150000000".parse().unwrap(), Duration::ZERO).await.unwrap().unwrap();
        account.check_credentials().await.unwrap();
        account.check_webhook_key(&Secret::new("token")).await.unwrap();
        pools.find_pool(&pool).await.unwrap();
        account.every_pool(Duration::ZERO, "XE1").await.unwrap();
        account.configure_webhooks(&sender, None, &WebhookTargets::default()).await.unwrap();
        account.templates(Duration::ZERO, |_| true).await.unwrap();
        let handle = account.create_template(&revision).await.unwrap();
        account.submit_template(&handle, &revision).await.unwrap();
        account.delete_template(&handle).await.unwrap();
        let minted = keys.mint_key("data plane").await.unwrap();
        keys.list_keys().await.unwrap();
        keys.verify_key(&minted).await.unwrap();
        keys.revoke_key(&minted.id).await.unwrap();
        let stream = streams.create_stream("ours", "https://hooks.example.com/").await.unwrap().id;
        streams.list_streams().await.unwrap();
        let subscription = streams.subscribe(&stream, "ours").await.unwrap().id;
        streams.list_subscriptions(&stream).await.unwrap();
        streams.unsubscribe(&subscription).await.unwrap();
        streams.test_stream(&stream).await.unwrap();
        let test = admin.tests_to("https://hooks.example.com/").remove(0);
        streams.confirm_stream(&stream, &test).await.unwrap();
        streams.delete_stream(&stream).await.unwrap();
        account.recent_alerts(Duration::ZERO, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        pools.add_member(&pool, "XE1").await.unwrap();
        pools.remove_member(&pool, "XE1").await.unwrap();
        let registrations = account.registrations().unwrap();
        registrations.register(&registration("+14150000001")).await.unwrap();
        registrations.verify("XE1", &Secret::new("123456")).await.unwrap();
        admin.set_token("token");
        tokens.create_next_token().await.unwrap();
        tokens.promote_next_token().await.unwrap();
        tokens.create_next_token().await.unwrap();
        tokens.discard_next_token().await.unwrap();
        for operation in OPERATIONS {
            let times = if operation == "create_token" { 2 } else { 1 };
            assert_eq!(counted(&metrics, operation), [("ok".to_owned(), times)], "{operation}");
        }
        let others = metrics.render().unwrap();
        let others =
            others.lines().filter(|line| line.starts_with("whatsapp_operator_provider_call_duration_seconds_count"));
        assert_eq!(others.count(), OPERATIONS.len(), "no call is counted under an operation that is not listed");
    }

    #[tokio::test]
    async fn a_call_is_counted_by_how_it_ended() {
        for (status, outcome) in [
            (401, "unauthorized"),
            (403, "unauthorized"),
            (429, "rate_limited"),
            (400, "refused"),
            (404, "refused"),
            (499, "refused"),
            (500, "unavailable"),
            (503, "unavailable"),
        ] {
            let admin = Arc::new(FakeAdmin::default());
            let (account, metrics) = counting_account(&admin);
            admin.fail_next(status, None);
            account.check_credentials().await.unwrap_err();
            assert_eq!(counted(&metrics, "check_credentials"), [(outcome.to_owned(), 1)], "{status}");
        }
        let admin = Arc::new(FakeAdmin::default());
        let (account, metrics) = counting_account(&admin);
        admin.lose_answer("mint_key");
        account.keys().unwrap().mint_key("data plane").await.unwrap_err();
        assert_eq!(counted(&metrics, "mint_key"), [("unavailable".to_owned(), 1)], "no answer");
    }

    #[tokio::test]
    async fn a_call_that_is_not_made_is_counted_and_took_no_time() {
        let admin = Arc::new(FakeAdmin::default());
        let (account, metrics) = counting_account(&admin);
        admin.fail_next(429, Some(Duration::from_secs(30)));
        account.check_credentials().await.unwrap_err();
        account.check_credentials().await.unwrap_err();
        let calls = [("over_budget".to_owned(), 1), ("rate_limited".to_owned(), 1)];
        assert_eq!(counted(&metrics, "check_credentials"), calls);
        let timed = "whatsapp_operator_provider_call_duration_seconds_count{operation=\"check_credentials\"} 1\n";
        assert!(metrics.render().unwrap().contains(timed), "{}", metrics.render().unwrap());
    }

    #[tokio::test]
    async fn an_account_offers_keys_only_where_its_provider_can_mint_them() {
        let admin = Arc::new(FakeAdmin::without_keys());
        let (accounts, _) = accounts(admin);
        assert!(accounts.get(&access("secret")).keys().is_none());
    }

    #[tokio::test]
    async fn a_provider_that_asks_for_a_pause_is_not_called() {
        let admin = Arc::new(FakeAdmin::default());
        let (accounts, _) = accounts(Arc::clone(&admin));
        let account = accounts.get(&access("secret"));
        admin.fail_next(429, Some(Duration::from_secs(30)));
        account.check_credentials().await.unwrap_err();
        let error = account.check_credentials().await.unwrap_err();
        assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_secs(5)), "{error:?}");
        assert_eq!(admin.calls("check_credentials"), 1);
    }
}
