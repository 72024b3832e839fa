//! The chart, rendered and installed by the real Helm.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tests::chart::{REQUIRED, render};
use tests::cluster::{Cluster, documents};
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
async fn the_right_to_read_tenants_secrets_is_bound_where_the_values_say_and_nowhere_else() -> Result<()> {
    let (tenants, secrets) = ("whatsapp-operator-tenants", "whatsapp-operator-secrets");
    let everywhere = || vec![None];
    let watched = || vec![Some("bakery".to_owned()), Some("shop".to_owned())];
    let (granted, watch) = (("secretAccess", "granted"), ("watchNamespaces", "{shop,bakery}"));
    for (values, of_tenants, of_secrets) in [
        (&[][..], everywhere(), everywhere()),
        // As in the values of a release from before there was a choice.
        (&[("secretAccess", "null")], everywhere(), everywhere()),
        (&[granted], everywhere(), vec![]),
        (&[watch], watched(), watched()),
        (&[granted, watch], watched(), watched()),
    ] {
        let objects = render("whatsapp", "whatsapp-system", &[&REQUIRED[..], values].concat()).await?;
        for (role, expected) in [(tenants, of_tenants), (secrets, of_secrets)] {
            let found = bindings(&objects, role);
            ensure!(found == expected, "{values:?}: {role} is bound in {found:?}");
        }
        let reads = rules(&objects, "ClusterRole", secrets)?;
        ensure!(reads == [json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]})]);
        // What else is bound in tenants' namespaces has no right to a Secret.
        let others = rules(&objects, "ClusterRole", tenants)?;
        ensure!(!json!(others).to_string().contains("secrets"), "{others:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_grant_that_the_operator_tells_is_of_a_role_and_an_account_that_exist() -> Result<()> {
    for access in ["cluster", "granted"] {
        let values = [&REQUIRED[..], &[("secretAccess", access)]].concat();
        let objects = render("my-release", "whatsapp-system", &values).await?;
        let pod = &workload(&objects, "operator")?.data["spec"]["template"]["spec"];
        let arguments: Vec<String> = serde_json::from_value(pod["containers"][0]["args"].clone())?;
        let argument = |name: &str| {
            let found = arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
            found.with_context(|| format!("{name} is missing from {arguments:?}"))
        };
        ensure!(argument("--secret-access")? == access);
        ensure!(argument("--service-account")? == pod["serviceAccountName"], "{arguments:?}");
        ensure!(rules(&objects, "ClusterRole", argument("--secret-role")?)?[0]["resources"] == json!(["secrets"]));
    }
    Ok(())
}

#[tokio::test]
async fn the_example_of_a_grant_is_what_the_release_of_the_quickstart_needs() -> Result<()> {
    let example = std::fs::read_to_string(root().join("examples/quickstart/15-secret-access.yaml"))?;
    let example = documents(&example)?.pop().context("no object")?;
    let objects = render("whatsapp", "whatsapp-system", &REQUIRED).await?;
    let role = example.data["roleRef"]["name"].as_str().context("it names no role")?;
    ensure!(rules(&objects, "ClusterRole", role)?[0]["resources"] == json!(["secrets"]), "{example:#?}");
    let account = &workload(&objects, "operator")?.data["spec"]["template"]["spec"]["serviceAccountName"];
    let subject = json!({"kind": "ServiceAccount", "name": account, "namespace": "whatsapp-system"});
    ensure!(example.data["subjects"] == json!([subject]), "{example:#?}");
    Ok(())
}

#[tokio::test]
async fn what_nobody_asks_for_is_neither_installed_nor_permitted() -> Result<()> {
    let plain = json!(render("whatsapp", "whatsapp-system", &REQUIRED).await?).to_string();
    for (key, value, words) in [
        ("dataPlane.authorizeSenders", "true", "subjectaccessreviews"),
        ("dataPlane.authorizeSenders", "true", "--authorize-senders"),
        ("dataPlane.allowPrivateSinks", "true", "--allow-private-sinks"),
        ("dataPlane.connections.maxPerPeer", "10", "--max-connections-per-peer=10"),
        ("twilioBaseUrl", "https://proxy.example.com", "--twilio-base-url=https://proxy.example.com"),
        ("watchNamespaces", "{shop}", "--watch-namespace=shop"),
        ("imagePullSecrets", "{registry}", "imagePullSecrets"),
        ("admission.eventHosts", "{events.example.com}", "ValidatingAdmissionPolicy"),
        ("admission.accountsOfNamespaces", "true", "ValidatingAdmissionPolicy"),
        ("metrics.serviceMonitor.enabled", "true", "ServiceMonitor"),
        ("metrics.prometheusRule.enabled", "true", "PrometheusRule"),
    ] {
        ensure!(!plain.contains(words), "{words} without {key}");
        let with = render("whatsapp", "whatsapp-system", &[&REQUIRED[..], &[(key, value)]].concat()).await?;
        ensure!(json!(with).to_string().contains(words), "no {words} with {key}={value}");
    }
    ensure!(plain.contains("CustomResourceDefinition"));
    let without =
        render("whatsapp", "whatsapp-system", &[&REQUIRED[..], &[("crds.install", "false")]].concat()).await?;
    ensure!(!json!(without).to_string().contains("CustomResourceDefinition"));
    Ok(())
}

#[tokio::test]
async fn the_data_plane_may_ask_the_cluster_about_callers_and_nothing_else() -> Result<()> {
    let review = |group: &str, of: &str| json!({"apiGroups": [group], "resources": [of], "verbs": ["create"]});
    let tokens = review("authentication.k8s.io", "tokenreviews");
    let senders = review("authorization.k8s.io", "subjectaccessreviews");
    for (authorize, expected) in [("false", vec![tokens.clone()]), ("true", vec![tokens, senders])] {
        let values = [&REQUIRED[..], &[("dataPlane.authorizeSenders", authorize)]].concat();
        let objects = render("whatsapp", "whatsapp-system", &values).await?;
        let found = rules(&objects, "ClusterRole", "whatsapp-data-plane")?;
        ensure!(found == expected, "authorizeSenders={authorize}: {found:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn of_config_maps_only_the_one_with_hints_can_be_read_or_changed() -> Result<()> {
    let objects = render("whatsapp", "whatsapp-system", &REQUIRED).await?;
    let hints = |verbs: &[&str]| json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["whatsapp-hints"], "verbs": verbs});
    // A name does not restrict who makes an object.
    let make = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]});
    for (role, expected) in [
        ("whatsapp-operator", vec![make, hints(&["list", "watch"])]),
        ("whatsapp-data-plane", vec![hints(&["get", "update"])]),
        ("whatsapp-operator-uninstall", vec![hints(&["delete"])]),
    ] {
        let found: Vec<_> = rules(&objects, "Role", role)?
            .into_iter()
            .filter(|rule| rule["resources"].as_array().is_some_and(|of| of.contains(&json!("configmaps"))))
            .collect();
        ensure!(found == expected, "{role}: {found:#?}");
    }
    for role in objects.iter().filter(|object| kind(object) == "ClusterRole") {
        ensure!(!role.data["rules"].to_string().contains("configmaps"), "{role:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_platform_forbids_is_denied_in_the_namespaces_that_are_watched() -> Result<()> {
    let both = [("admission.eventHosts", "{events.example.com}"), ("admission.accountsOfNamespaces", "true")];
    let watch = ("watchNamespaces", "{shop,bakery}");
    for (values, watched) in [(both.to_vec(), None), ([&both[..], &[watch]].concat(), Some(json!(["shop", "bakery"])))]
    {
        let objects = render("whatsapp", "whatsapp-system", &[&REQUIRED[..], &values].concat()).await?;
        let of = |wanted: &str| objects.iter().filter(|object| kind(object) == wanted).collect::<Vec<_>>();
        let (policies, bindings) = (of("ValidatingAdmissionPolicy"), of("ValidatingAdmissionPolicyBinding"));
        ensure!((policies.len(), bindings.len()) == (2, 2), "{policies:#?} {bindings:#?}");
        for policy in policies {
            let spec = &policy.data["spec"];
            ensure!(spec["failurePolicy"] == "Fail", "{spec:#}");
            let operations = &spec["matchConstraints"]["resourceRules"][0]["operations"];
            ensure!(*operations == json!(["CREATE", "UPDATE"]), "{spec:#}");
        }
        for binding in bindings {
            let spec = &binding.data["spec"];
            ensure!(binding.metadata.name.as_deref() == spec["policyName"].as_str(), "{binding:#?}");
            ensure!(spec["validationActions"] == json!(["Deny"]), "{spec:#}");
            let selected = spec.pointer("/matchResources/namespaceSelector/matchExpressions/0/values").cloned();
            ensure!(selected == watched, "{spec:#}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_service_monitor_selects_the_one_service_of_its_component_that_has_metrics() -> Result<()> {
    let values = [
        ("metrics.serviceMonitor.enabled", "true"),
        ("metrics.serviceMonitor.labels.release", "prometheus"),
        ("metrics.prometheusRule.enabled", "true"),
        ("metrics.prometheusRule.labels.release", "prometheus"),
    ];
    let objects = render("whatsapp", "whatsapp-system", &[&REQUIRED[..], &values].concat()).await?;
    let of = |wanted: &str| objects.iter().filter(|object| kind(object) == wanted).collect::<Vec<_>>();
    let (monitors, services) = (of("ServiceMonitor"), of("Service"));
    ensure!(monitors.len() == 2, "{monitors:#?}");
    for monitor in &monitors {
        let selector = monitor.data["spec"]["selector"]["matchLabels"].as_object().context("it selects nothing")?;
        let labels = |service: &DynamicObject| json!(service.metadata.labels);
        let selected = services.iter().filter(|service| {
            selector.iter().all(|(label, value)| labels(service)[label] == *value)
                && service.data["spec"]["ports"]
                    .as_array()
                    .is_some_and(|p| p.iter().any(|port| port["name"] == "metrics"))
        });
        ensure!(selected.count() == 1, "{monitor:#?}");
    }
    for object in monitors.into_iter().chain(of("PrometheusRule")) {
        ensure!(json!(object.metadata.labels)["release"] == "prometheus", "{object:#?}");
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
    refused(&[&REQUIRED[..], &[("secretAccess", "everything")]].concat(), "secretAccess").await?;
    for host in ["*", "https://events.example.com", "Events.example.com"] {
        let hosts = format!("{{{host}}}");
        refused(&[&REQUIRED[..], &[("admission.eventHosts", hosts.as_str())]].concat(), "eventHosts").await?;
    }
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

fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| types.kind.as_str())
}

/// The rules of a role.
fn rules(objects: &[DynamicObject], wanted: &str, name: &str) -> Result<Vec<Value>> {
    let role = objects.iter().find(|o| kind(o) == wanted && o.metadata.name.as_deref() == Some(name));
    let rules = &role.with_context(|| format!("the chart has no {wanted} {name}"))?.data["rules"];
    rules.as_array().cloned().context("no rules")
}

/// Where a role is bound to the operator: the namespaces, and `None` for the whole cluster.
fn bindings(objects: &[DynamicObject], role: &str) -> Vec<Option<String>> {
    let binds = |object: &&DynamicObject| {
        ["RoleBinding", "ClusterRoleBinding"].contains(&kind(object)) && object.data["roleRef"]["name"] == role
    };
    let mut found: Vec<_> = objects.iter().filter(binds).map(|binding| binding.metadata.namespace.clone()).collect();
    found.sort();
    found
}
