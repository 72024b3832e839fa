//! Where the replicas keep their state, and what can happen to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use postgres_cluster::{Proxy, Server};
use tests::eventually::eventually;
use tokio::time::{Instant, sleep_until};

use crate::plan::Store;

/// The one database of a server.
const NAME: &str = "conservation";
/// How long a primary is cut off from its standby before it dies. A primary that does not wait for its standby
/// acknowledges many commits in that time.
const CUT_OFF: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub enum Database {
    Sqlite(PathBuf),
    Postgres(Box<Postgres>),
}

/// One server or two, with a proxy between each server and each replica.
#[derive(Debug)]
pub struct Postgres {
    primary: Server,
    standby: Option<Standby>,
    /// Indexed by replica, then by server.
    proxies: Vec<Vec<Proxy>>,
    promoted: bool,
}

/// A second server, and the proxy that replication from the first passes through.
#[derive(Debug)]
struct Standby {
    server: Server,
    link: Proxy,
}

impl Standby {
    async fn of(primary: &Server) -> Result<Self> {
        let (server, link) = (Server::standby_of(primary).await?, Proxy::start(primary.tcp_address()).await?);
        let followed = server.query("postgres", "SHOW primary_conninfo").await?;
        let (direct, through) = (primary.tcp_port(), link.address().port());
        let followed = followed.replace(&format!("port={direct}"), &format!("port={through}")).replace('\'', "''");
        let sender = primary.query("postgres", "SELECT pid FROM pg_stat_replication").await?;
        server.query("postgres", &format!("ALTER SYSTEM SET primary_conninfo = '{followed}'")).await?;
        server.query("postgres", "SELECT pg_reload_conf()").await?;
        let anew = format!("SELECT sync_state FROM pg_stat_replication WHERE pid <> {sender}");
        eventually("the standby is synchronous, through the link", async || {
            let state = primary.query("postgres", &anew).await.map_err(|error| format!("{error:#}"))?;
            if state == "sync" { Ok(()) } else { Err(state) }
        })
        .await?;
        Ok(Self { server, link })
    }
}

impl Database {
    pub async fn start(store: Store, replicas: usize, folder: &Path) -> Result<Self> {
        if store == Store::Sqlite {
            return Ok(Self::Sqlite(folder.join("data.db")));
        }
        let primary = Server::launch(&[]).await?;
        primary.create_database(NAME).await?;
        let standby = match store {
            Store::PostgresWithStandby => Some(Standby::of(&primary).await?),
            Store::Postgres | Store::Sqlite => None,
        };
        let mut proxies = Vec::new();
        for _ in 0..replicas {
            let mut to_each = vec![Proxy::start(primary.tcp_address()).await?];
            if let Some(standby) = &standby {
                to_each.push(Proxy::start(standby.server.tcp_address()).await?);
            }
            proxies.push(to_each);
        }
        Ok(Self::Postgres(Box::new(Postgres { primary, standby, proxies, promoted: false })))
    }

    /// The arguments that a replica starts with.
    pub fn url_for(&self, replica: usize) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite://{}", file.display()),
            Self::Postgres(postgres) => {
                let hosts: Vec<String> =
                    postgres.proxies[replica].iter().map(|proxy| proxy.address().to_string()).collect();
                format!("postgres://postgres@{}/{NAME}?sslmode=disable", hosts.join(","))
            }
        }
    }

    pub fn postgres(&mut self) -> Option<&mut Postgres> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(postgres) => Some(postgres),
        }
    }

    /// Runs SQL on the current primary, and returns the rows as lines with `|` between columns. `None` if this program
    /// cannot query the database.
    pub async fn query(&self, sql: &str) -> Result<Option<String>> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(postgres) => postgres.writable().query(NAME, sql).await.map(Some),
        }
    }
}

impl Postgres {
    fn writable(&self) -> &Server {
        self.standby.as_ref().filter(|_| self.promoted).map_or(&self.primary, |standby| &standby.server)
    }

    /// The proxies between a replica and each server.
    pub fn proxies(&self, replica: usize) -> &[Proxy] {
        &self.proxies[replica]
    }

    /// All processes of the server die at once.
    pub async fn crash(&mut self) -> Result<()> {
        self.primary.kill().await
    }

    pub async fn start_again(&mut self) -> Result<()> {
        self.primary.start().await
    }

    /// The primary is cut off from its standby, dies for good soon after, and the standby takes its place. If any
    /// acknowledged write can be lost, it is one of those made in between.
    pub async fn fail_over(&mut self) -> Result<()> {
        let Some(standby) = &self.standby else { bail!("there is no standby") };
        standby.link.freeze(true);
        sleep_until(Instant::now() + CUT_OFF).await;
        self.primary.kill().await?;
        standby.server.promote().await.context("promoting the standby")?;
        self.promoted = true;
        Ok(())
    }
}
