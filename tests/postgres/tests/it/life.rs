//! One server: it answers, is durable, recovers, and leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postgres_cluster::{Programs, Server, shared};

#[tokio::test]
async fn a_server_answers_over_its_socket_and_over_tcp_and_is_durable() {
    let server = Server::launch(&[("max_connections", "17"), ("cluster_name", r"it's \ own")]).await.unwrap();
    let setting = async |name: &str| server.query("postgres", &format!("SHOW {name}")).await.unwrap();
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(setting(name).await, "on", "{name}");
    }
    assert_eq!(setting("max_connections").await, "17");
    assert_eq!(setting("cluster_name").await, r"it's \ own");
    assert_eq!(setting("server_version").await, server.version().unwrap());

    let asked = |url: String| {
        let sql = "SELECT coalesce(host(inet_server_addr()), 'socket') || current_database()";
        let output =
            Command::new(Programs::find().unwrap().program("psql")).args(["-XAtc", sql, "-d", &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    server.create_database("a name").await.unwrap();
    assert_eq!(asked(server.url("a name")), "socketa name");
    assert_eq!(asked(server.tcp_url("a name")), "127.0.0.1a name");
    assert_eq!(server.tcp_address().port(), server.tcp_port());
}

#[tokio::test]
async fn a_committed_row_survives_every_kind_of_crash() {
    let mut server = Server::launch(&[]).await.unwrap();
    let (url, address) = (server.url("postgres"), server.tcp_address());
    server.query("postgres", "CREATE TABLE kept (n int)").await.unwrap();

    server.query("postgres", "INSERT INTO kept VALUES (1)").await.unwrap();
    server.stop_immediately().await.unwrap();
    assert!(!server.is_running().unwrap());
    assert!(server.query("postgres", "SELECT 1").await.is_err(), "a stopped server answers nothing");
    assert!(server.stop().await.is_err(), "a server that is not running cannot be stopped");
    server.start().await.unwrap();
    assert!(server.start().await.is_err(), "a running server cannot be started");

    server.query("postgres", "INSERT INTO kept VALUES (2)").await.unwrap();
    server.kill().await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "a killed server accepts no connection");
    server.start().await.unwrap();

    server.query("postgres", "INSERT INTO kept VALUES (3)").await.unwrap();
    server.stop().await.unwrap();
    server.start().await.unwrap();

    assert_eq!(server.query("postgres", "SELECT n FROM kept ORDER BY n").await.unwrap(), "1\n2\n3");
    assert_eq!((server.url("postgres"), server.tcp_address()), (url, address));
}

#[tokio::test]
async fn once_a_server_is_killed_none_of_its_processes_is_left() {
    let mut server = Server::launch(&[]).await.unwrap();
    // A process that is busy computing does not check whether its parent has ended.
    let mut psql = tokio::process::Command::new(Programs::find().unwrap().program("psql"))
        .args(["-XAtc", "SELECT sum(sqrt(n)) FROM generate_series(1, 1000000000) n", "-d", &server.url("postgres")])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let computing = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%1000000000%' AND pid <> pg_backend_pid()";
    eventually(async || !server.query("postgres", computing).await.unwrap().is_empty()).await;
    let all = server.query("postgres", "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").await.unwrap();
    let all: Vec<String> = all.lines().map(|pid| format!("/proc/{pid}/cwd")).collect();
    assert!(all.len() > 3 && all.iter().all(|cwd| fs::read_link(cwd).is_ok()), "{all:?}");

    let memory = shared_memory(&all);
    assert!(memory.iter().any(|path| path.starts_with("/dev/shm")), "{memory:?}");

    server.kill().await.unwrap();
    assert!(!memory.iter().any(|path| path.exists()), "{memory:?}");
    let left: Vec<_> = all.iter().filter(|cwd| fs::read_link(cwd).is_ok()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!psql.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_wrong_setting_is_reported_in_the_servers_own_words() {
    let error = Server::launch(&[("max_connections", "many")]).await.unwrap_err();
    assert!(format!("{error:#}").contains("invalid value for parameter \"max_connections\""), "{error:#}");
}

#[tokio::test]
async fn processor_time_counts_processes_that_have_ended() {
    let server = Server::launch(&[]).await.unwrap();
    let before = server.cpu_time().unwrap();
    let sql = "SELECT pg_backend_pid() FROM generate_series(1, 3000000) n GROUP BY 1 HAVING sum(sqrt(n)) > 0";
    let process = server.query("postgres", sql).await.unwrap();
    eventually(async || !Path::new("/proc").join(&process).exists()).await;
    let used = server.cpu_time().unwrap() - before;
    assert!(used >= Duration::from_millis(50), "the query alone takes longer than {used:?}");
    assert!(used <= Duration::from_secs(30), "{used:?}");
}

#[tokio::test]
async fn tests_that_share_a_server_have_their_own_databases() {
    let (one, other) = (shared().await.unwrap(), shared().await.unwrap());
    assert_eq!(one.url("a"), other.url("a"));
    one.create_database("mine").await.unwrap();
    one.create_database("yours").await.unwrap();
    one.query("mine", "CREATE TABLE here ()").await.unwrap();
    assert_eq!(one.query("yours", "SELECT to_regclass('here') IS NULL").await.unwrap(), "t");
}

#[tokio::test]
async fn dropping_a_server_stops_it_and_removes_its_folder() {
    let server = Server::launch(&[]).await.unwrap();
    let (data, address) = (server.data_directory(), server.tcp_address());
    assert!(data.join("PG_VERSION").exists());
    drop(server);
    assert!(!data.parent().unwrap().exists());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

const ROLE: &str = "POSTGRES_CLUSTER_TEST_TO_BE_KILLED";

/// Not a test by itself, but the process that the next test kills.
#[tokio::test]
async fn to_be_killed() {
    if std::env::var_os(ROLE).is_some() {
        let running = shared().await.unwrap();
        let stopped = {
            let mut server = Server::launch(&[]).await.unwrap();
            server.stop().await.unwrap();
            server
        };
        let postmaster = fs::read_to_string(running.data_directory().join("postmaster.pid")).unwrap();
        let running = running.data_directory().display().to_string();
        println!("\nready|{}|{running}|{}", postmaster.lines().next().unwrap(), stopped.data_directory().display());
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_neither_a_server_nor_a_folder() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "life::to_be_killed", "--nocapture"])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready = lines.into_iter().find(|line| line.starts_with("ready|")).unwrap();
    let parts: Vec<&str> = ready.split('|').collect();
    let cwd = format!("/proc/{}/cwd", parts[1]);
    let folders: Vec<&Path> = parts[2..].iter().map(|data| Path::new(data).parent().unwrap()).collect();
    assert!(fs::read_link(&cwd).is_ok(), "its server runs");
    assert!(folders.iter().all(|folder| folder.exists()));

    child.kill().unwrap();
    child.wait().unwrap();
    eventually(async || fs::read_link(&cwd).is_err() && !folders.iter().any(|folder| folder.exists())).await;
}

/// The memory mapped by processes that could outlive them.
fn shared_memory(cwds: &[String]) -> Vec<PathBuf> {
    let maps = cwds.iter().map(|cwd| fs::read_to_string(cwd.replace("cwd", "maps")).unwrap()).collect::<String>();
    maps.split_whitespace().filter(|path| path.starts_with("/dev/shm/")).map(PathBuf::from).collect()
}

async fn eventually(mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so().await {
        assert!(Instant::now() < deadline, "not so after 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
