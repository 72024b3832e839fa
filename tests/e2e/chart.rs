//! The chart, rendered and installed by the real Helm.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use serde_json::json;
use tests::chart::{REQUIRED, render};
use tests::cluster::Cluster;
use tests::process::{binary, output, root, tool};

async fn helm(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let mut command = Command::new(tool("helm")?);
    command.env("KUBECONFIG", cluster.kubeconfig()).args(args);
    output(command).await
}

#[tokio::test]
async fn the_chart_is_linted_installed_upgraded_and_removed() -> Result<()> {
    // A private cluster, because the chart installs the CRDs, and the shared cluster already has them.
    let cluster = Cluster::start()?;
    let chart = root().join("charts/whatsapp-operator").to_string_lossy().into_owned();
    let url = "publicBaseUrl=https://whatsapp.example.com,image.repository=registry.example.com/whatsapp";
    helm(&cluster, &["lint", "--strict", &chart, "--set", url]).await?;

    let release = ["whatsapp", &chart, "--namespace", "whatsapp-system"];
    let notes = helm(&cluster, &[&["install"], &release[..], &["--create-namespace", "--set", url]].concat()).await?;
    ensure!(notes.contains("STATUS: deployed"), "{notes}");
    let first = "kubectl delete whatsappsenders,messagetemplates,routingpolicies --all --all-namespaces";
    ensure!(notes.contains(first), "how to uninstall in order: {notes}");
    let kinds = cluster.kubectl(&["api-resources", "--api-group=whatsapp-operator.dev", "--output=name"]).await?;
    ensure!(kinds.lines().count() == 3, "{kinds}");
    let deployed = cluster
        .kubectl(&["get", "deployments,statefulsets,services,serviceaccounts", "--namespace", "whatsapp-system"])
        .await?;
    ensure!(deployed.contains("operator") && deployed.contains("data-plane"), "{deployed}");

    // The API server accepts the other store's workload too, and the first one's is removed.
    let postgres = "store.postgres.existingSecret=database,store.postgres.caSecret=database-ca,dataPlane.replicas=3";
    let upgraded = helm(&cluster, &[&["upgrade"], &release[..], &["--set", url, "--set", postgres]].concat()).await?;
    ensure!(upgraded.contains("REVISION: 2") && upgraded.contains("database"), "{upgraded}");
    let workloads = ["get", "deployments,statefulsets,poddisruptionbudgets", "--namespace", "whatsapp-system"];
    let workloads = cluster.kubectl(&[&workloads[..], &["--output=name"]].concat()).await?;
    for present in ["deployment.apps/whatsapp-data-plane", "poddisruptionbudget.policy/whatsapp-data-plane"] {
        ensure!(workloads.contains(present), "{workloads}");
    }
    ensure!(!workloads.contains("statefulset"), "{workloads}");

    // Without its hook, whose Job nothing runs in this cluster.
    helm(&cluster, &["uninstall", "whatsapp", "--namespace", "whatsapp-system", "--no-hooks"]).await?;
    let left = cluster
        .kubectl(&[
            "get",
            "deployments,statefulsets,services,roles,rolebindings,poddisruptionbudgets",
            "--namespace",
            "whatsapp-system",
            "--output=name",
        ])
        .await?;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    // Removing the chart must not remove every tenant's senders and templates.
    let kinds = cluster.kubectl(&["api-resources", "--api-group=whatsapp-operator.dev", "--output=name"]).await?;
    ensure!(kinds.lines().count() == 3, "{kinds}");
    Ok(())
}

#[tokio::test]
async fn who_may_view_or_edit_a_namespace_may_do_so_with_the_three_kinds() -> Result<()> {
    let objects = render("whatsapp", "whatsapp-system", &REQUIRED).await?;
    for (role, writes) in [("view", false), ("edit", true), ("admin", true)] {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{role}");
        let rules: Vec<_> = objects
            .iter()
            .filter(|o| o.metadata.labels.as_ref().and_then(|labels| labels.get(&label)).is_some_and(|v| v == "true"))
            .flat_map(|o| o.data["rules"].as_array().into_iter().flatten())
            .collect();
        for kind in ["whatsappsenders", "messagetemplates", "routingpolicies"] {
            let may = |verb: &str| {
                let holds =
                    |list: &serde_json::Value, item: &str| list.as_array().is_some_and(|l| l.contains(&json!(item)));
                rules.iter().any(|rule| holds(&rule["resources"], kind) && holds(&rule["verbs"], verb))
            };
            ensure!(may("list") && may("patch") == writes && may("delete") == writes, "{role} of {kind}: {rules:#?}");
        }
        ensure!(!rules.iter().any(|rule| rule.to_string().contains("secrets")), "{role}: {rules:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_value_is_refused() -> Result<()> {
    let refused = async |values: &[(&str, &str)], said: &str| -> Result<()> {
        let rendered = render("whatsapp", "whatsapp-system", values).await;
        ensure!(rendered.as_ref().is_err_and(|e| e.to_string().contains(said)), "{values:?}: {rendered:?}");
        Ok(())
    };
    refused(&[&REQUIRED[..], &[("publicBaseURL", "typo")]].concat(), "publicBaseURL").await?;
    refused(&REQUIRED[1..], "publicBaseUrl").await?;
    let url = ("store.postgres.url", "postgres://user:password@host/data");
    refused(&[&REQUIRED[..], &[url]].concat(), "'url' not allowed").await
}

#[tokio::test]
async fn a_store_that_would_lose_replicas_or_data_is_refused_with_a_remedy() -> Result<()> {
    let secret = ("store.postgres.existingSecret", "database");
    for (values, said) in [
        (
            &[("dataPlane.replicas", "2")][..],
            "dataPlane.replicas is 2 with SQLite, whose database is a file of one replica: expected 1, or PostgreSQL",
        ),
        (&[secret, ("store.sqlite.size", "20Gi")], "store.sqlite and store.postgres are both set"),
        (&[secret, ("store.sqlite.storageClassName", "fast")], "store.sqlite and store.postgres are both set"),
        (
            &[("store.postgres.caSecret", "database-ca")],
            "store.postgres.caSecret is set without store.postgres.existingSecret",
        ),
    ] {
        let rendered = render("whatsapp", "whatsapp-system", &[&REQUIRED[..], values].concat()).await;
        ensure!(rendered.as_ref().is_err_and(|e| e.to_string().contains(said)), "{values:?}: {rendered:?}");
    }
    Ok(())
}

#[tokio::test]
async fn with_postgresql_the_data_plane_is_a_deployment_without_a_volume() -> Result<()> {
    let values = [&REQUIRED[..], &POSTGRES[..]].concat();
    let objects = render("whatsapp", "whatsapp-system", &values).await?;
    let data_plane = workload(&objects, "data-plane")?;
    ensure!(data_plane.types.as_ref().is_some_and(|types| types.kind == "Deployment"), "{data_plane:?}");
    let spec = &data_plane.data["spec"];
    ensure!(spec["replicas"] == 3 && spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, "{spec:#}");
    let pod = &spec["template"]["spec"];
    ensure!(!pod.to_string().contains("persistentVolumeClaim") && !pod.to_string().contains("/var/lib"), "{pod:#}");
    ensure!(pod["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname", "{pod:#}");
    // The password stays in its Secret. No argument and no value holds it.
    let store = json!({"name": "WHATSAPP_STORE", "valueFrom": {"secretKeyRef": {"name": "database", "key": "uri"}}});
    let environment = pod["containers"][0]["env"].as_array().context("no environment")?;
    ensure!(environment.contains(&store), "{environment:?}");
    // A budget that allows no disruption, or any, would be useless.
    let budget = objects.iter().find(|o| o.types.as_ref().is_some_and(|t| t.kind == "PodDisruptionBudget"));
    let budget = &budget.context("no PodDisruptionBudget")?.data["spec"];
    ensure!(budget["maxUnavailable"] == 1, "{budget:#}");
    ensure!(budget["selector"] == spec["selector"], "{budget:#}");
    Ok(())
}

#[tokio::test]
async fn a_pods_grace_period_covers_a_whole_drain() -> Result<()> {
    for (delay, timeout, seconds) in [("5s", "25s", 40), ("500ms", "2m", 131), ("0s", "1h", 3610)] {
        let values = [("dataPlane.drainDelay", delay), ("dataPlane.drainTimeout", timeout)];
        let objects = render("whatsapp", "whatsapp-system", &[&REQUIRED[..], &values].concat()).await?;
        let grace =
            &workload(&objects, "data-plane")?.data["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        ensure!(*grace == seconds, "{delay} and {timeout}: {grace}");
    }
    Ok(())
}

#[tokio::test]
async fn the_programs_accept_every_argument_of_the_chart() -> Result<()> {
    let more = [
        ("twilioBaseUrl", "https://proxy.example.com"),
        ("watchNamespaces", "{shop,bakery}"),
        ("dataPlane.allowPrivateSinks", "true"),
        ("dataPlane.authorizeSenders", "true"),
        ("listenAddress", "[::]"),
    ];
    let sqlite = [&REQUIRED[..], &more[..]].concat();
    let postgres = [&sqlite[..], &POSTGRES[..]].concat();
    for (values, component, program) in [
        (&sqlite, "operator", "whatsapp-operator"),
        (&sqlite, "data-plane", "whatsapp-dataplane"),
        (&postgres, "data-plane", "whatsapp-dataplane"),
    ] {
        let objects = render("whatsapp", "whatsapp-system", values).await?;
        let container = &workload(&objects, component)?.data["spec"]["template"]["spec"]["containers"][0];
        let arguments: Vec<String> = serde_json::from_value(container["args"].clone())?;
        // Arguments before --help are parsed, and refused if they are unknown.
        let mut command = Command::new(binary(program)?);
        command.args(&arguments).arg("--help");
        let help = output(command).await.with_context(|| format!("{program} does not accept {arguments:?}"))?;
        for variable in container["env"].as_array().context("no environment")? {
            let name = variable["name"].as_str().unwrap_or_default();
            let is_read = ["]", "="].iter().any(|end| help.contains(&format!("[env: {name}{end}")));
            ensure!(is_read, "{program} does not read {name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn after_an_uninstallation_a_hook_removes_the_configs() -> Result<()> {
    let objects = render("whatsapp", "whatsapp-system", &REQUIRED).await?;
    let runs_after = |object: &&DynamicObject| {
        let annotations = object.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get("helm.sh/hook")).is_some_and(|hook| hook == "post-delete")
    };
    let hook: Vec<_> = objects.iter().filter(runs_after).collect();
    let of = |kind: &str| hook.iter().find(|o| o.types.as_ref().is_some_and(|types| types.kind == kind));
    // What it runs with must exist before it, because everything else of the release is gone.
    for kind in ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
        of(kind).with_context(|| format!("the hook has no {kind}"))?;
    }
    let pod = &of("Job").context("the hook has no Job")?.data["spec"]["template"]["spec"];
    let arguments: Vec<String> = serde_json::from_value(pod["containers"][0]["args"].clone())?;
    ensure!(arguments == ["remove-configs", "--config-namespace=whatsapp-system"], "{arguments:?}");
    let mut command = Command::new(binary("whatsapp-operator")?);
    command.args(&arguments).arg("--help");
    output(command).await.map(drop)
}

#[tokio::test]
async fn pods_have_fixed_ids_except_where_the_cluster_gives_its_own() -> Result<()> {
    for (asked, fixed) in [("auto", true), ("true", true), ("false", false)] {
        let objects =
            render("whatsapp", "whatsapp-system", &[&REQUIRED[..], &[("podSecurity.fixedIds", asked)]].concat())
                .await?;
        for component in ["operator", "data-plane"] {
            let pod = &workload(&objects, component)?.data["spec"]["template"]["spec"];
            let context = &pod["securityContext"];
            ensure!(context["runAsNonRoot"] == true, "{context}");
            let ids = ["runAsUser", "runAsGroup", "fsGroup"].map(|id| context[id].is_number());
            ensure!(ids == [fixed; 3], "{asked}, {component}: {context}");
        }
    }
    let mut command = Command::new(tool("helm")?);
    command.arg("template").arg("whatsapp").arg(root().join("charts/whatsapp-operator"));
    command
        .args(["--set", "publicBaseUrl=https://whatsapp.example.com,image.repository=registry.example.com/whatsapp"]);
    let on_openshift = output({
        command.args(["--api-versions", "security.openshift.io/v1"]);
        command
    })
    .await?;
    ensure!(!on_openshift.contains("65532"), "a fixed id on OpenShift");
    Ok(())
}

#[tokio::test]
async fn every_listener_may_be_that_of_a_cluster_without_ipv4() -> Result<()> {
    let objects =
        render("whatsapp", "whatsapp-system", &[&REQUIRED[..], &[("listenAddress", "[::]")]].concat()).await?;
    for (component, listeners) in [("operator", 1), ("data-plane", 3)] {
        let container = &workload(&objects, component)?.data["spec"]["template"]["spec"]["containers"][0];
        let arguments: Vec<String> = serde_json::from_value(container["args"].clone())?;
        let listening: Vec<_> = arguments.iter().filter(|argument| argument.contains("listen=")).collect();
        ensure!(listening.len() == listeners, "{arguments:?}");
        ensure!(listening.iter().all(|argument| argument.contains("listen=[::]:")), "{listening:?}");
    }
    Ok(())
}

const POSTGRES: [(&str, &str); 3] = [
    ("store.postgres.existingSecret", "database"),
    ("store.postgres.caSecret", "database-ca"),
    ("dataPlane.replicas", "3"),
];

/// The workload of a component.
fn workload<'a>(objects: &'a [DynamicObject], component: &str) -> Result<&'a DynamicObject> {
    let runs = |object: &&DynamicObject| {
        let labels = object.metadata.labels.as_ref();
        object.types.as_ref().is_some_and(|types| ["Deployment", "StatefulSet"].contains(&types.kind.as_str()))
            && labels.and_then(|labels| labels.get("app.kubernetes.io/component")).is_some_and(|c| c == component)
    };
    objects.iter().find(runs).with_context(|| format!("the chart has no workload for {component}"))
}
