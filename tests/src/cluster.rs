//! A real Kubernetes API server: our own, or the one that `KUBECONFIG` names.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Client, Config, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::eventually::eventually;
use crate::process::{output, root, tool};

/// A cluster that tests may create namespaces in.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    own: Option<OwnControlPlane>,
}

/// The control plane that this process started. It ends when its standard input does, so it never outlives this
/// process.
#[derive(Debug)]
struct OwnControlPlane {
    dir: tempfile::TempDir,
    supervisor: Child,
}

impl Drop for OwnControlPlane {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        drop(self.supervisor.wait());
    }
}

/// An entry in the API server's audit log, about a request that changes something.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub user: AuditUser,
    #[serde(default)]
    pub object_ref: AuditObject,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AuditUser {
    pub username: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditObject {
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
}

impl Cluster {
    /// The cluster that all tests of this process share, with our CRDs installed. It is started once, or `KUBECONFIG`
    /// names it.
    pub async fn shared() -> Result<Arc<Self>> {
        static SHARED: OnceCell<Arc<Cluster>> = OnceCell::const_new();
        let cluster = SHARED
            .get_or_try_init(|| async {
                let cluster = match std::env::var_os("KUBECONFIG") {
                    Some(path) if !path.is_empty() => Self { kubeconfig: path.into(), own: None },
                    _ => Self::start()?,
                };
                cluster.install_crds().await?;
                anyhow::Ok(Arc::new(cluster))
            })
            .await?;
        Ok(cluster.clone())
    }

    /// A private cluster, for a test that breaks it.
    pub async fn private() -> Result<Arc<Self>> {
        let cluster = Self::start()?;
        cluster.install_crds().await?;
        Ok(Arc::new(cluster))
    }

    /// A private, empty cluster.
    pub fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("whatsapp-cluster-").tempdir()?;
        let mut supervisor = Command::new(tool("control-plane")?)
            .args(["up", "--exit-on-stdin-eof", "--dir"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the control plane")?;
        let mut ready = String::new();
        let stdout = supervisor.stdout.take().context("the control plane's output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut ready)?;
        if ready.is_empty() {
            bail!("the control plane did not start: see its error above");
        }
        let kubeconfig = dir.path().join("kubeconfig");
        Ok(Self { kubeconfig, own: Some(OwnControlPlane { dir, supervisor }) })
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with the administrator's rights, for what tests do themselves.
    pub async fn admin(&self) -> Result<Client> {
        client(&self.kubeconfig).await
    }

    /// `kubectl` as the administrator.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        kubectl(&self.kubeconfig, args).await
    }

    async fn install_crds(&self) -> Result<()> {
        self.kubectl(&["apply", "--server-side", "-f", &root().join("crds").to_string_lossy()]).await?;
        let wait = ["wait", "--for=condition=Established", "--timeout=30s", "crd"];
        let names =
            ["whatsappsenders", "messagetemplates", "routingpolicies"].map(|n| format!("{n}.whatsapp-operator.dev"));
        self.kubectl(&[&wait[..], &names.each_ref().map(String::as_str)[..]].concat()).await.map(drop)
    }

    /// Stops only the API server; etcd and the controllers keep running.
    pub async fn stop_api_server(&self) -> Result<()> {
        self.api_server("stop").await
    }

    /// Starts it again, at the same address, and waits until it is ready.
    pub async fn start_api_server(&self) -> Result<()> {
        self.api_server("start").await
    }

    async fn api_server(&self, what: &str) -> Result<()> {
        let own =
            self.own.as_ref().context("only a cluster that the tests started may be stopped: unset KUBECONFIG")?;
        let mut command = Command::new(tool("control-plane")?);
        command.args(["apiserver", what, "--dir"]).arg(own.dir.path());
        output(command).await.map(drop)
    }

    /// Every change in the cluster so far, oldest first; `None` for a cluster that is not ours.
    pub fn audit(&self) -> Result<Option<Vec<AuditEntry>>> {
        let Some(own) = &self.own else { return Ok(None) };
        let text = std::fs::read_to_string(own.dir.path().join("audit.log"))?;
        text.lines().map(|line| serde_json::from_str(line).context("an audit entry")).collect::<Result<_>>().map(Some)
    }

    /// A namespace with a unique name: `<prefix>-<random>`.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let namespace = Namespace {
            metadata: kube::core::ObjectMeta { generate_name: Some(format!("{prefix}-")), ..Default::default() },
            ..Default::default()
        };
        let created = Api::all(self.admin().await?).create(&PostParams::default(), &namespace).await?;
        Ok(created.name_any())
    }

    /// Applies objects server-side as the administrator. `namespace` is the default.
    pub async fn apply(&self, objects: &[DynamicObject], namespace: Option<&str>) -> Result<()> {
        let client = self.admin().await?;
        for object in objects {
            let name = object.name_any();
            let api = api_of(&client, object, namespace).await?;
            let patch = Patch::Apply(object);
            api.patch(&name, &PatchParams::apply("tests").force(), &patch)
                .await
                .with_context(|| format!("applying {name}"))?;
        }
        Ok(())
    }

    /// Creates an object as the administrator, or replaces the one of its name.
    pub async fn put(&self, mut object: DynamicObject) -> Result<()> {
        let api = api_of(&self.admin().await?, &object, None).await?;
        let name = object.name_any();
        match api.get_opt(&name).await? {
            None => api.create(&PostParams::default(), &object).await?,
            Some(existing) => {
                object.metadata.resource_version = existing.metadata.resource_version;
                api.replace(&name, &PostParams::default(), &object).await?
            }
        };
        Ok(())
    }

    /// A token for a ServiceAccount, as its pod would hold it.
    pub async fn token(&self, namespace: &str, account: &str, audience: Option<&str>) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().await?, namespace);
        let spec = TokenRequestSpec { audiences: audience.map(|a| vec![a.to_owned()]), ..Default::default() };
        let request = TokenRequest { spec: Some(spec), ..Default::default() };
        // A controller may only just have created the ServiceAccount.
        let granted = eventually("the ServiceAccount's token is issued", async || {
            accounts.create_token_request(account, &PostParams::default(), &request).await
        })
        .await?;
        granted.status.and_then(|s| s.token).context("a token request that was not granted")
    }

    /// Writes a kubeconfig to `path` that has only a ServiceAccount's rights.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str, path: &Path) -> Result<()> {
        let token = self.token(namespace, account, None).await?;
        let admin: Value = serde_yaml::from_str(&std::fs::read_to_string(&self.kubeconfig)?)?;
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": admin["clusters"][0]["cluster"]}],
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": account, "namespace": namespace}}],
            "current-context": "test",
        });
        std::fs::write(path, serde_json::to_string_pretty(&kubeconfig)?).context("writing a kubeconfig")
    }
}

/// `kubectl` with a kubeconfig.
pub async fn kubectl(kubeconfig: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new(tool("kubectl")?);
    command.env("KUBECONFIG", kubeconfig).args(args);
    output(command).await
}

/// A client with a kubeconfig's rights.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    crate::install_crypto();
    let config =
        Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The objects of a stream of YAML documents.
pub fn documents(yaml: &str) -> Result<Vec<DynamicObject>> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).context("reading YAML"))
        .filter(|value| !matches!(value, Ok(Value::Null)))
        .map(|value| serde_json::from_value(value?).context("a Kubernetes object"))
        .collect()
}

/// The API that an object belongs to. `namespace` is the default.
async fn api_of(client: &Client, object: &DynamicObject, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
    let types = object.types.as_ref().context("an object without apiVersion and kind")?;
    let gvk = kube::core::GroupVersionKind::try_from(types)?;
    let (resource, capabilities): (ApiResource, _) = pinned_kind(client, &gvk).await?;
    Ok(match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace =
                object.namespace().or_else(|| namespace.map(str::to_owned)).context("an object without a namespace")?;
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
    })
}
