//! Replication: a synchronous standby, and its promotion.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::server::Server;
use crate::wait::{self, until};

impl Server {
    /// Copies `primary` into a second server that follows it, and makes the primary's commits wait for the copy. It
    /// returns once they do: from then on, what the primary acknowledges is on both.
    pub async fn standby_of(primary: &Self) -> Result<Self> {
        let parent = primary.folder().parent().unwrap_or_else(|| Path::new("/"));
        let mut standby = Self::prepare(parent)?;
        let name = format!("standby_{}", standby.tcp_port());
        let mut backup = standby.command("pg_basebackup");
        let from = primary.tcp_address();
        backup
            .arg(format!("--dbname=host={} port={} user=postgres application_name={name}", from.ip(), from.port()))
            .args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync", "--pgdata"])
            .arg(standby.data_directory());
        wait::output(backup).await?;
        // The copy has the primary's settings. They may name an older standby, which the copy would wait for.
        standby.append("postgresql.auto.conf", &[("synchronous_standby_names", "")])?;
        standby.start().await?;
        primary.query("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).await?;
        primary.query("postgres", "SELECT pg_reload_conf()").await?;
        let state = format!("SELECT sync_state FROM pg_stat_replication WHERE application_name = '{name}'");
        until("the standby is synchronous", async || {
            Ok((primary.query("postgres", &state).await? == "sync").then_some(()))
        })
        .await
        .with_context(|| format!("the end of the standby's log:\n{}", standby.log_tail()))?;
        Ok(standby)
    }

    /// Promotes a standby, and waits until it accepts writes.
    pub async fn promote(&self) -> Result<()> {
        let promoted = self.query("postgres", "SELECT pg_promote(wait => true, wait_seconds => 30)").await?;
        ensure!(promoted == "t", "the standby is not promoted after 30 s; the end of its log:\n{}", self.log_tail());
        until("the promoted standby accepts writes", async || {
            Ok((self.query("postgres", "SHOW transaction_read_only").await? == "off").then_some(()))
        })
        .await
    }
}
