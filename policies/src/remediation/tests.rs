//! Drafts of every kind, in full, and what cannot be drafted.

use super::*;

fn file(text: &str) -> RemediationFile {
    RemediationFile { path: "source.yaml".to_owned(), text: text.to_owned(), named: true }
}

#[track_caller]
fn imported(text: &str) -> Import {
    import(&[file(text)], &Wanted::default()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Everything that came of a text, to be read beside it.
#[track_caller]
fn told(text: &str) -> String {
    let import = imported(text);
    let mut told = String::new();
    for draft in &import.drafts {
        told += &draft.policy;
        told += &draft.rules.as_ref().map_or_else(String::new, |rules| format!("---\n{rules}"));
        told += &format!(
            "=== {} {}: {} lost, {} assumed, acts: {}\n",
            draft.kind.word(),
            draft.name,
            draft.lost.len(),
            draft.assumed.len(),
            draft.acts
        );
    }
    for refusal in &import.refused {
        told += &format!("!!! {}:{} {}: {}\n", refusal.place.0, refusal.place.1, refusal.name, refusal.why);
    }
    told
}

const MACHINES: &str = r#"
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineHealthCheck
metadata: { name: workers-5m, labels: { team: platform } }
spec:
  clusterName: shop
  selector: { matchLabels: { nodepool: a } }
  checks:
    nodeStartupTimeoutSeconds: 600
    unhealthyNodeConditions:
      - { type: Ready, status: Unknown, timeoutSeconds: 300 }
      - { type: Ready, status: "False", timeoutSeconds: 480 }
    unhealthyMachineConditions:
      - { type: InfrastructureReady, status: "False", timeoutSeconds: 1800 }
  remediation: { triggerIf: { unhealthyLessThanOrEqualTo: 40% } }
---
apiVersion: cluster.x-k8s.io/v1beta1
kind: MachineHealthCheck
metadata: { name: control-plane }
spec:
  clusterName: shop
  selector: { matchLabels: { cluster.x-k8s.io/control-plane: "" } }
  nodeStartupTimeout: 0s
  unhealthyConditions: [{ type: Ready, status: Unknown, timeout: 5m0s }]
  unhealthyRange: "[2-3]"
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: KubeadmControlPlane
metadata: { name: shop }
spec: { remediation: { maxRetry: 5, retryPeriodSeconds: 120, minHealthyPeriodSeconds: 7200 } }
"#;

#[test]
fn health_checks_of_machines_keep_their_gates_and_name_what_is_lost() {
    insta::assert_snapshot!(told(MACHINES));
}

#[test]
fn a_share_of_the_healthy_rounded_up_is_a_share_of_the_unhealthy_rounded_down() {
    let text = "
apiVersion: remediation.medik8s.io/v1alpha1
kind: NodeHealthCheck
metadata: { name: nhc-worker }
spec:
  selector: { matchExpressions: [{ key: node-role.kubernetes.io/control-plane, operator: DoesNotExist }] }
  minHealthy: 51%
  healthyDelay: 30s
  stormCooldownDuration: 2m
  pauseRequests: [an upgrade of the cluster]
  escalatingRemediations:
    - { order: 2, timeout: 30m, remediationTemplate: { kind: ReprovisionRemediationTemplate } }
    - { order: 1, timeout: 300s, remediationTemplate: { kind: SelfNodeRemediationTemplate } }
";
    insta::assert_snapshot!(told(text));
    for total in 0..=100_u64 {
        for percent in 0..=100_u64 {
            let least = (total * percent).div_ceil(100);
            let most = total * (100 - percent) / 100;
            assert_eq!(total - least, most, "{percent}% of {total}");
        }
    }
}

#[test]
fn counts_of_healthy_nodes_are_asked_before_each_action() {
    let text = "
apiVersion: remediation.medik8s.io/v1alpha1
kind: NodeHealthCheck
metadata: { name: small }
spec: { minHealthy: 3, remediationTemplate: { kind: FenceAgentsRemediationTemplate } }
";
    let import = imported(text);
    let policy = &import.drafts[0].policy;
    let check = r#"expr: 'sum(kube_node_status_condition{condition="Ready",status="true"}) >= 3'"#;
    assert!(policy.contains(check) && !policy.contains("max_unhealthy"), "{policy}");
    let rules = import.drafts[0].rules.as_ref().unwrap();
    let both = "reason: 'Ready false or Ready unknown'";
    assert!(rules.matches("for: 5m").count() == 1 && rules.contains(both), "the default conditions: {rules}");
}

#[test]
fn what_kubernetes_does_by_itself_can_be_judged_as_policies() {
    let text = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: cart, annotations: { owner: team-shop } }
spec:
  template:
    spec:
      containers:
        - name: server
          resources: { requests: { cpu: 200m } }
          livenessProbe: { httpGet: { path: /healthz, port: 8080 }, initialDelaySeconds: 15, periodSeconds: 5, failureThreshold: 4 }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: cart }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: cart }
  minReplicas: 2
  maxReplicas: 10
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 60 } } }]
  behavior: { scaleDown: { stabilizationWindowSeconds: 120, policies: [{ type: Pods, value: 1, periodSeconds: 60 }] } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: queue }
spec: { scaleTargetRef: { name: worker }, maxReplicas: 3, metrics: [{ type: External, external: { metric: { name: length } } }] }
";
    insta::assert_snapshot!(told(text));
}

#[test]
fn an_autoscaler_that_may_not_scale_in_is_one_policy_and_one_that_may_do_neither_none() {
    let scaler = |behavior: &str| {
        format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{ name: web }}\nspec:\n  scaleTargetRef: {{ name: web }}\n  maxReplicas: 9\n  metrics: [{{ type: Resource, resource: {{ name: cpu, target: {{ type: Utilization, averageUtilization: 60 }} }} }}]\n  behavior: {behavior}\n"
        )
    };
    let names = |behavior: &str| {
        let import = imported(&scaler(behavior));
        let refused = import.refused.into_iter().map(|refusal| refusal.why);
        import.drafts.into_iter().map(|draft| draft.name).chain(refused).collect::<Vec<_>>()
    };
    assert_eq!(names("{}"), ["web-out", "web-in"]);
    assert_eq!(names("{ scaleDown: { selectPolicy: Disabled } }"), ["web-out"]);
    let neither = names("{ scaleDown: { selectPolicy: Disabled }, scaleUp: { selectPolicy: Disabled } }");
    assert_eq!(neither, ["`selectPolicy: Disabled` lets it scale neither out nor in"]);
}

#[test]
fn rules_of_rulebooks_that_hear_alertmanager_are_policies_and_others_say_why_not() {
    let text = r#"
- name: the shop
  hosts: all
  sources: [{ name: alerts of the shop, ansible.eda.alertmanager: { port: 5050 } }]
  rules:
    - name: restart what is down
      condition: event.alert.labels.job == "cart" and event.alert.status == "firing" and event.meta.hosts == "x"
      action: { run_playbook: { name: playbooks/restart.yml, retries: 2, delay: 10 } }
      throttle: { once_within: 5 minutes, group_by_attributes: [event.alert.labels.job] }
    - name: one of two
      enabled: false
      condition: { any: ['event.alert.labels.alertname == "Down"', "event.alert.labels.alertname == 'Slow'"] }
      actions: [{ debug: {} }, { run_job_template: { name: Repair, organization: Default } }]
    - name: only prints
      condition: event.alert.labels.alertname == "Down"
      action: { debug: {} }
    - name: over
      condition: event.alert.status == "resolved"
      action: { run_playbook: { name: a.yml } }
    - name: facts
      condition: event.alert.labels.alertname == "Down"
      action: { set_fact: { fact: { a: 1 } } }
    - name: several
      condition: { all: [event.a == 1, event.b == 2] }
      action: { run_playbook: { name: a.yml } }
    - name: often
      condition: event.alert.labels.alertname == "Down"
      throttle: { accumulate_within: 1 minutes, threshold: 3 }
      action: { run_playbook: { name: a.yml } }
- name: elsewhere
  hosts: all
  sources: [{ ansible.eda.webhook: { port: 5000 } }]
  rules: [{ name: any, condition: true, action: { debug: {} } }]
"#;
    insta::assert_snapshot!(told(text));
}

#[test]
fn rules_of_stackstorm_on_what_monitoring_found_are_policies() {
    let rule = |name: &str, trigger: &str, criteria: &str, action: &str| {
        format!(
            "---\nname: {name}\nenabled: {}\ntrigger: {{ type: {trigger} }}\ncriteria: {{ {criteria} }}\naction: {action}\n",
            name != "off"
        )
    };
    let text = rule(
        "restart-web",
        "sensu.event_handler",
        "trigger.check.name: { type: equals, pattern: check_web }, trigger.check.output: { type: matchregex, pattern: CRITICAL }, trigger.occurrences: { type: gt, pattern: 1 }",
        "{ ref: core.remote_sudo, parameters: { hosts: '{{trigger.client.address}}', cmd: systemctl restart nginx } }",
    ) + &rule(
        "off",
        "nagios.service_state_change",
        "service: { type: matchregex, pattern: '(.*)_load' }",
        "{ ref: linux.diag }",
    ) + &rule("tell", "dripstat.alert", "", "{ ref: slack.post_message, parameters: { message: x } }")
        + &rule("clock", "core.st2.CronTimer", "", "{ ref: core.local, parameters: { cmd: 'echo x' } }")
        + &rule("wrong", "sensu.event_handler", "check.output: { type: matchregex, pattern: 'a(' }", "{ ref: core.noop }");
    insta::assert_snapshot!(told(&text));
}

#[test]
fn playbooks_of_robusta_are_policies_with_their_evidence() {
    let text = "
customPlaybooks:
  - name: RestartStuck
    triggers: [{ on_prometheus_alert: { alert_name: Stuck, namespace_prefix: shop. } }]
    actions: [{ rollout_restart: {} }, { logs_enricher: {} }]
  - name: Crash
    triggers: [{ on_pod_crash_loop: { restart_count: 3, rate_limit: 900 } }]
    actions: [{ kubectl_command: { command: kubectl scale --replicas=2 deployment/worker -n shop } }]
    stop: true
  - triggers: [{ on_prometheus_alert: { alert_name: Disk } }, { on_prometheus_alert: { alert_name: Inodes } }]
    actions: [{ node_bash_enricher: { bash_command: 'rm -rf /tmp/*' } }]
  - triggers: [{ on_deployment_update: {} }]
    actions: [{ resource_events_enricher: {} }]
  - name: Every
    triggers: [{ on_prometheus_alert: {} }]
    actions: [{ default_enricher: {} }]
";
    insta::assert_snapshot!(told(text));
}

#[test]
fn composite_alerts_are_a_rule_and_a_policy() {
    let text = "
alerts:
  - alert: checkout-degraded
    team: team-checkout
    condition: [error_rate > 5% AND, p95_latency >= 500ms for 2m, queue_depth > 1000]
    actions:
      - auto_remediate: { action: restart_service, cooldown: 10m, max_attempts: 2 }
      - notify: '#checkout'
      - escalate_if: { unresolved_for: 15m, to: oncall }
  - alert: odd
    condition: cpu is high
    actions: [{ auto_remediate: scale_up }]
  - alert: ScriptOnly
    condition: error_rate > 1% OR request_rate < 10/s
    actions: [{ auto_remediate: /opt/fix-it.sh }, { escalate_if: unresolved > 5m }]
";
    insta::assert_snapshot!(told(text));
}

#[test]
fn what_people_write_ends_no_line_of_a_draft() {
    let hostile = "a\\nsteps: []\\n# \\u2028x: 'y'";
    let text = format!(
        "alert: \"{hostile}\"\ndescription: \"{hostile}\"\nteam: \"{hostile}\"\nseverity: \"{hostile}\"\ncondition: error_rate > 5%\nactions: [{{ auto_remediate: \"{hostile}\" }}, {{ \"{hostile}\": \"{hostile}\" }}]\n"
    );
    let import = imported(&text);
    assert_eq!(import.drafts.len(), 1, "{:?}", import.refused);
    let policy = &import.drafts[0].policy;
    assert_eq!(policy.lines().filter(|line| line.starts_with("steps:")).count(), 1, "{policy}");
    let label = format!(
        "- hosts: all\n  sources: [{{ alertmanager: {{}} }}]\n  rules:\n    - name: \"{hostile}\"\n      condition: event.alert.labels.job == \"x'\\\\\"\n      action: {{ run_playbook: {{ name: \"{hostile}\" }} }}\n"
    );
    let import = imported(&label);
    assert_eq!(import.drafts.len() + import.refused.len(), 1);
}

#[test]
fn no_value_of_a_field_makes_it_panic() {
    let values = [
        "null",
        "[]",
        "{}",
        "-1",
        "1e400",
        "''",
        "'%'",
        "'999999999999999999999%'",
        "18446744073709551615",
        "'-'",
        "'[9-1]'",
        "'ä ö'",
        "true",
        "[[[]]]",
    ];
    let sources =
        [MACHINES, "alert: a\ncondition: error_rate > 5%\nactions: [{ auto_remediate: { action: restart, cooldown: 1m } }]\nteam: a\n"];
    for source in sources {
        for (index, _) in source.match_indices(": ") {
            let end = source[index + 2..].find(['\n', ',', '}', ']']).map_or(source.len(), |end| index + 2 + end);
            for value in values {
                let text = format!("{}: {value}{}", &source[..index], &source[end..]);
                if let Ok(import) = import(&[file(&text)], &Wanted::default()) {
                    import.drafts.iter().for_each(|draft| drop(read_policy("p.yaml", &draft.policy).unwrap()));
                }
            }
        }
    }
}

#[test]
fn a_named_file_must_hold_a_remediation_and_a_folder_need_not() {
    let nothing = |named| RemediationFile { named, ..file("a: 1\n") };
    let problems = import(&[nothing(true)], &Wanted::default()).unwrap_err();
    assert_eq!((problems[0].code, &*problems[0].message), ("FD0390", "the file holds no remediation that is known here"));
    let passed = import(&[nothing(false), RemediationFile { named: false, ..file("{") }], &Wanted::default()).unwrap();
    assert_eq!(passed.passed_over.len(), 2);
    let torn = import(&[RemediationFile { named: false, ..file("trigger: {\naction: [\n") }], &Wanted::default()).unwrap();
    assert!(torn.refused[0].why.starts_with("it is no YAML that is read here"), "{torn:?}");
    let other = Wanted { kind: Some(Kind::Autoscaler), owner: None };
    let problems = import(&[file(MACHINES)], &other).unwrap_err();
    assert_eq!(problems[0].message, "the file holds no HorizontalPodAutoscaler");
}

#[test]
fn an_owner_can_be_given_and_names_are_told_apart() {
    let twice = "alert: a\ncondition: error_rate > 5%\nactions: [{ escalate_if: 5m }]\n---\nalert: a\ncondition: error_rate > 5%\nactions: [{ escalate_if: 5m }]\n";
    let wanted = Wanted { kind: None, owner: Some("team-a".to_owned()) };
    let import = import(&[file(twice)], &wanted).unwrap();
    let names: Vec<&str> = import.drafts.iter().map(|draft| &*draft.name).collect();
    assert_eq!(names, ["a", "a-2"]);
    let policy = &import.drafts[0].policy;
    assert!(policy.contains("owner: team-a\n") && policy.contains("escalate: { to: team-a }"), "{policy}");
}

/// The one draft of a text.
#[track_caller]
fn drafted(text: &str) -> Draft {
    let import = imported(text);
    assert_eq!((import.drafts.len(), &import.refused[..]), (1, &[][..]), "{import:?}");
    import.drafts.into_iter().next().unwrap()
}

/// Why a text is no policy.
#[track_caller]
fn refused(text: &str) -> String {
    let import = imported(text);
    assert!(import.drafts.is_empty(), "{import:?}");
    import.refused.into_iter().map(|refusal| refusal.why).collect::<Vec<_>>().join("; ")
}

/// That the files of a draft say these, and that these are among what is lost.
#[track_caller]
fn check_draft(text: &str, says: &[&str], lost: &[&str]) {
    let draft = drafted(text);
    let files = format!("{}{}", draft.policy, draft.rules.as_deref().unwrap_or_default());
    for said in says {
        assert!(files.contains(said), "{said}\n{files}");
    }
    for lost in lost {
        assert!(draft.lost.iter().any(|own| own.starts_with(lost)), "{lost}\n{:#?}", draft.lost);
    }
}

#[test]
fn what_an_article_turns_off_narrows_or_asks_for_stays_so() {
    let alert = |keys: &str, action: &str| format!("alert: Hot\nteam: a\n{keys}condition: error_rate > 5%\nactions: {action}\n");
    let restarts = "[{ auto_remediate: restart_service }]";
    check_draft(&alert("enabled: false\n", restarts), &["stage: draft"], &[]);
    check_draft(&alert("enabled: 'no'\n", restarts), &["stage: draft"], &[]);
    check_draft(&alert("", "[{ auto_remediate: { action: restart, dry_run: true } }]"), &["stage: dry-run"], &[]);
    check_draft(&alert("enabled: false\n", "[{ auto_remediate: restart, dry_run: true }]"), &["stage: draft"], &[]);
    assert_eq!(refused(&alert("enabled: perhaps\n", restarts)), "`enabled: perhaps` is neither true nor false");
    let of_one = ["target: { service: checkout }", "service=\"checkout\"}[1m]"];
    check_draft(&alert("service: checkout\n", restarts), &of_one, &[]);
    check_draft(&alert("labels: { service: checkout, tier: gold }\n", restarts), &[of_one[0], of_one[1], ", tier: gold }"], &[]);
    check_draft(
        &alert("", "[{ auto_remediate: { action: restart, service: checkout } }]"),
        &["target: { service: $service }\n", "    target: { service: checkout }\n"],
        &[],
    );
    assert_eq!(refused(&alert("service: a\nlabels: { service: b }\n", restarts)), "it is about the service `a` and about `b`");
    check_draft(&alert("for: 5m\n", restarts), &["for: 5m"], &[]);
    assert_eq!(refused(&alert("for: a while\n", restarts)), "`for: a while` is no duration such as `5m`");
    check_draft(
        &alert("silence: 1h\n", "[{ auto_remediate: restart, if: business_hours, cooldown: soon }, call_mum]"),
        &[],
        &["`silence: 1h`", "`if: business_hours`", "`cooldown: soon`", "`call_mum`"],
    );
    let asks = "approval: { from: [oncall], of: all }";
    check_draft(&alert("", "[{ auto_remediate: restart_service, requires_approval: true }]"), &[asks], &[]);
    check_draft(
        &alert("", "{ auto_remediate: { action: scale_up, by: 2, max_attempts: 3 }, notify: [a, b] }"),
        &["scale: { by: 2 }", "verify:"],
        &[],
    );
    check_draft(
        &alert("", "[{ auto_remediate: { action: restart, cooldown: 1m } }, { auto_remediate: { action: rollback, cooldown: 2m } }]"),
        &["cooldown: 1m"],
        &["`cooldown: 2m`"],
    );
}

#[test]
fn signs_are_joined_as_they_are_written() {
    let check = |condition: &str, expected: &str| {
        let text = format!("alert: A\nteam: a\ncondition: {condition}\nactions: [{{ auto_remediate: restart }}]\n");
        let import = imported(&text);
        let told = match import.drafts.first() {
            Some(draft) => {
                let rules = draft.rules.as_deref().unwrap_or_default();
                let line = |key: &str| {
                    rules.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_default().trim().trim_matches('\'').to_owned()
                };
                format!("{}|{}", line("expr:"), line("for:"))
            }
            None => import.refused[0].why.clone(),
        };
        assert_eq!(told, expected, "{condition}");
    };
    check("[a > 1, for: 5m]", "a > 1|5m");
    check("{ all: [a > 1, b > 2], for: 5m }", "a > 1 and on (service) b > 2|5m");
    check("{ any: [a > 1, b > 2] }", "a > 1 or b > 2|");
    check("{ all: [c > 3, { any: [a > 1, b > 2] }] }", "c > 3 and on (service) (a > 1 or b > 2)|");
    check("[a > 1 OR b > 2, c > 3]", "(a > 1 or b > 2) and on (service) c > 3|");
    check("[a > 1 OR, b > 2]", "a > 1 or b > 2|");
    check("[a > 1, OR b > 2]", "a > 1 or b > 2|");
    check("[a > 1 for 2m AND, b > 2]", "a > 1 and on (service) b > 2|2m");
    for mixed in ["[a > 1, OR b > 2, AND c > 3]", "[a > 1, OR b > 2, c > 3]", "a > 1 OR b > 2 AND c > 3"] {
        check(mixed, "its condition has AND beside OR, and does not say what belongs together: write that as `all` and `any`");
    }
    check("{ all: [a > 1, NOT b] }", "`NOT b` asks that something is not so: write it as a comparison");
    check("'(a > 1 OR b > 2) AND c > 3'", "`(a > 1` has brackets: write what belongs together as `all` and `any`");
    check("[]", "its condition is empty");
    check("a > 1 AND", "its condition begins or ends with what joins two signs");
    check("a > 1 AND OR b > 1", "two words that join signs follow each other in `a > 1 AND OR b > 1`");
    check("{ none: [a > 1] }", "`none` in its condition is none of all, any and for");
}

#[test]
fn a_gate_counts_by_the_conditions_of_its_source() {
    let machines = |spec: &str, annotations: &str| {
        format!(
            "apiVersion: cluster.x-k8s.io/v1beta1\nkind: MachineHealthCheck\nmetadata: {{ name: disk, annotations: {{ {annotations} }} }}\nspec: {{ clusterName: c, nodeStartupTimeout: 0s, {spec} }}\n"
        )
    };
    let pressure = r#"unhealthyConditions: [{ type: DiskPressure, status: "True", timeout: 5m }]"#;
    let met = r#"max by (node) (kube_node_status_condition{condition="DiskPressure",status="true"} or 0 * kube_node_status_condition{condition="Ready",status="true"})"#;
    check_draft(&machines(&format!("maxUnhealthy: 40%, {pressure}"), ""), &[&format!("healthy: '{met} == 0'"), "max: 40%"], &[]);
    check_draft(
        &machines(&format!("maxUnhealthy: 1, unhealthyRange: '[2-5]', {pressure}"), ""),
        &[&format!("count({met} == 1) >= 2"), "max: 5"],
        &["`maxUnhealthy: 1`"],
    );
    check_draft(&machines(pressure, "cluster.x-k8s.io/paused: ''"), &["stage: draft"], &[]);
    check_draft(&machines(&format!("{pressure}, nodeDrainTimeout: 1m"), ""), &["replace_node"], &["`nodeDrainTimeout: 1m`"]);
    let nodes = |spec: &str| {
        format!("apiVersion: remediation.medik8s.io/v1alpha1\nkind: NodeHealthCheck\nmetadata: {{ name: n }}\nspec: {{ {spec} }}\n")
    };
    let deletes = "remediationTemplate: { kind: MachineDeletionRemediationTemplate }";
    check_draft(
        &nodes(&format!("minHealthy: 51%, maxUnhealthy: 1, stormTerminationDelay: 3m, {deletes}")),
        &["max: 49%"],
        &["`maxUnhealthy: 1`", "`stormTerminationDelay: 3m`"],
    );
    let lasting = pressure.replace("timeout", "duration");
    let own = met.replace("{condition", "{node=$node,condition");
    check_draft(&nodes(&format!("minHealthy: 3, {lasting}, {deletes}")), &[&format!("sum(1 - {met}) >= 3"), &format!("{own} == 0")], &[]);
    let unknown = drafted(&nodes("minHealthy: 51%, remediationTemplate: { kind: Mystery }"));
    assert!(!unknown.acts && unknown.policy.contains("- escalate: { to: change-me }"), "{}", unknown.policy);
    check_draft(
        &nodes(
            "minHealthy: 51%, escalatingRemediations: [{ order: 1, timeout: 5m, remediationTemplate: { kind: FenceAgentsRemediationTemplate } }, { order: 2, timeout: 5m, remediationTemplate: { kind: Mystery } }, { order: 3, timeout: 5m, remediationTemplate: { kind: SelfNodeRemediationTemplate } }]",
        ),
        &["- reboot_node: {}", "on_failure: next", "- escalate:"],
        &["`Mystery`", "`SelfNodeRemediationTemplate` after it"],
    );
}

const SCALER: &str = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: web }\nspec:\n  scaleTargetRef: { kind: Deployment, name: web }\n  minReplicas: 2\n  maxReplicas: 9\n  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]\n";

#[test]
fn an_autoscaler_scales_in_where_its_source_would() {
    let of = |from: &str, to: &str| {
        assert!(SCALER.contains(from), "{from}");
        imported(&SCALER.replace(from, to))
    };
    let rules = |import: &Import, name: &str| import.drafts.iter().find(|draft| draft.name == name).unwrap().rules.clone().unwrap();
    let scaled_in = rules(&of("", ""), "web-in");
    let current = r#"sum(kube_deployment_spec_replicas{deployment="web"})"#;
    assert!(
        scaled_in.contains(&format!("expr: 'ceil({current} * avg(")) && scaled_in.contains(&format!(") < {current} and avg(")),
        "{scaled_in}"
    );
    assert!(scaled_in.contains("< 0.9'"), "{scaled_in}");
    let tolerant = of("  metrics", "  behavior: { scaleDown: { tolerance: 0.05 } }\n  metrics");
    assert!(rules(&tolerant, "web-in").contains("< 0.95'") && rules(&tolerant, "web-out").contains("> 1.1'"));
    let set = of("kind: Deployment", "kind: StatefulSet");
    assert!(set.drafts.iter().all(|draft| draft.policy.contains(r#"kube_statefulset_replicas{statefulset="web"}"#)), "{set:?}");
    let refusals = |from: &str, to: &str| of(from, to).refused.into_iter().map(|refusal| refusal.why).collect::<Vec<_>>();
    assert_eq!(refusals("averageUtilization: 50", "averageUtilization: 0"), ["`averageUtilization: 0` is no share above 0"]);
    assert_eq!(refusals("maxReplicas: 9", "maxReplicas: 1"), ["its minReplicas 2 is above its maxReplicas 1"]);
    assert_eq!(refusals("minReplicas: 2", "minReplicas: some"), ["`minReplicas: some` is no number of replicas"]);
    assert_eq!(
        refusals("kind: Deployment", "kind: Rollout"),
        ["it scales a Rollout, and no metric that is known here tells its number of replicas"]
    );
    assert_eq!(refusals("name: cpu", "name: memory"), ["it aims at nothing that is seen here, which is CPU: Resource memory"]);
    let memory = "metrics: [{ type: Resource, resource: { name: memory, target: { type: Utilization, averageUtilization: 50 } } }, ";
    assert_eq!(refusals("metrics: [", memory), ["it scales in if every one of its metrics allows that, and here one is seen"]);
    let container = of("type: Resource, resource: { name: cpu", "type: ContainerResource, containerResource: { container: app, name: cpu");
    assert!(rules(&container, "web-out").contains(r#"pod=~"web-.+",container="app"}"#), "{container:?}");
}

#[test]
fn a_liveness_probe_restarts_what_the_kubelet_would_and_when_it_would() {
    let workload = |kind: &str, metadata: &str, pods: &str| {
        format!("---\nkind: {kind}\nmetadata: {{ {metadata} }}\nspec: {{ template: {{ spec: {{ {pods} }} }} }}\n")
    };
    let probe = "name: c, livenessProbe: { tcpSocket: { port: 1 }, periodSeconds: 5 }";
    let containers = format!("containers: [{{ {probe} }}]");
    let starting = format!("containers: [{{ {probe}, startupProbe: {{ failureThreshold: 30, periodSeconds: 10 }} }}]");
    check_draft(
        &workload("StatefulSet", "name: db", &starting),
        &[r#" unless on (pod) time() - kube_pod_container_state_started{container="c"} < 300"#, "within: 6m15s"],
        &[],
    );
    let ages = "periodSeconds: 1000000, failureThreshold: 1000000";
    let told = "1000000 failures, 1000000 s apart, are more than 31622400 s until anything is done";
    let never_starts = format!("containers: [{{ {probe}, startupProbe: {{ {ages} }} }}]");
    assert_eq!(refused(&workload("StatefulSet", "name: db", &never_starts)), told);
    let never_fails = format!("containers: [{{ name: c, livenessProbe: {{ tcpSocket: {{ port: 1 }}, {ages} }} }}]");
    assert_eq!(refused(&workload("StatefulSet", "name: db", &never_fails)), told);
    let year = "containers: [{ name: c, livenessProbe: { tcpSocket: { port: 1 }, periodSeconds: 86400, failureThreshold: 366 } }]";
    check_draft(&workload("StatefulSet", "name: db", year), &["policy: restart-db\n"], &[]);
    let never = refused(&workload("Pod", "name: lone", &format!("restartPolicy: Never, {containers}")));
    assert!(never.starts_with("`restartPolicy: Never`"), "{never}");
    for (kind, why) in [("Job", "the Pods of a Job are no replicas"), ("Rollout", "a Rollout is no workload that is known here")] {
        assert!(refused(&workload(kind, "name: a", &containers)).starts_with(why), "{kind}");
    }
    check_draft(&workload("ReplicaSet", "name: rs", &containers), &["up{service=\"rs\",pod!=\"\"} == 0"], &[]);
    let sidecar = "initContainers: [{ name: side, restartPolicy: Always, livenessProbe: { tcpSocket: { port: 2 } } }]";
    assert!(
        refused(&workload("DaemonSet", "name: ds", &format!("{sidecar}, containers: [{{ name: c }}]")))
            .starts_with("it is of a container that runs beside")
    );
    check_draft(
        &workload(
            "DaemonSet",
            "name: ds",
            &format!("{sidecar}, containers: [{{ {probe} }}, {{ name: d, livenessProbe: {{ exec: {{}} }} }}]"),
        ),
        &["policy: restart-ds\n"],
        &["the liveness probe of the container `d`", "the liveness probe of the container `side`"],
    );
    let twins = workload("Deployment", "name: api, namespace: one", &containers)
        + &workload("Deployment", "name: api, namespace: two", &containers);
    let import = imported(&twins);
    let told: Vec<(&str, bool)> =
        import.drafts.iter().map(|draft| (&*draft.name, draft.policy.contains(r#"up{service="api",namespace=""#))).collect();
    assert_eq!(told, [("restart-api-of-one", true), ("restart-api-of-two", true)]);
    let twice = workload("Deployment", "name: api", &containers).repeat(2);
    assert_eq!(imported(&twice).refused[0].why, "the Deployment of this name at source.yaml:2 is drafted already");
}

#[test]
fn alerts_of_two_drafts_are_never_one() {
    let alert = "---\nalert: a\nteam: t\ncondition: error_rate > 5%\nactions: [{ auto_remediate: restart }, { escalate_if: 5m }]\n";
    let import = imported(&alert.repeat(2));
    let second = &import.drafts[1];
    assert!(second.policy.contains("on: { alert: A2 }") && second.policy.contains("alertname=\"A2\""), "{}", second.policy);
    assert!(second.rules.as_ref().unwrap().contains("- alert: A2\n"));
}

#[test]
fn a_playbook_gathers_before_it_deletes_and_answers_no_more_than_it_did() {
    let playbook = |triggers: &str, actions: &str| format!("customPlaybooks:\n  - triggers: [{triggers}]\n    actions: [{actions}]\n");
    let stuck = "{ on_prometheus_alert: { alert_name: Stuck } }";
    let told = drafted(&playbook(stuck, "{ logs_enricher: {} }, { delete_pod: {} }, { event_enricher: {} }")).policy;
    let places: Vec<usize> = ["with: [logs]", "- restart:", "with: [changes]"].iter().map(|word| told.find(word).unwrap()).collect();
    assert!(places.is_sorted(), "{told}");
    check_draft(
        &playbook(
            "{ on_prometheus_alert: { alert_name: Bad, k8s_providers: [EKS], scope: { include: [{ namespace: [a, b] }], exclude: [{ namespace: [kube-system] }] } } }",
            "{ delete_pod: {} }",
        ),
        &[r#"namespace=~"(?:a)|(?:b)""#],
        &["`k8s_providers: EKS`", "`exclude: namespace: kube-system` of `scope`"],
    );
    check_draft(
        &playbook("{ on_pod_crash_loop: { namespace_prefix: shop, labels_selector: app=a } }", "{ delete_pod: {} }"),
        &[r#"namespace=~"shop.*""#],
        &["`labels_selector: app=a`"],
    );
    let both = format!("{stuck}, {{ on_pod_crash_loop: {{ rate_limit: 3600 }} }}");
    check_draft(
        &playbook(&both, "{ rollout_restart: {} }"),
        &["# firedrill: allow FD0330", "label_replace(", "# assumed: the longest `rate_limit`"],
        &[],
    );
    assert_eq!(
        refused(&playbook("{ on_job_failure: {} }", "{ delete_pod: {} }")),
        "what it does needs the pod, and a trigger of it tells none"
    );
    let unknown = drafted(&playbook(stuck, "{ delete_job: {} }"));
    assert!(unknown.lost[0].starts_with("the action `delete_job`: its effect"), "{unknown:?}");
}

#[test]
fn a_rulebook_asks_what_matchers_can_ask_and_says_why_it_is_none() {
    let rule = |condition: &str, action: &str| {
        format!(
            "- hosts: all\n  sources: [{{ alertmanager: {{}} }}]\n  rules:\n    - name: a\n      condition: {condition}\n      action: {action}\n"
        )
    };
    let runs = "{ run_playbook: { name: p.yml } }";
    let on = |condition: &str| drafted(&rule(condition, runs)).policy.lines().find(|line| line.starts_with("on:")).unwrap().to_owned();
    assert_eq!(
        on(r#"event.alert.labels.alertname == "C" and not event.alert.labels.env == "dev" and event.alert.labels.sev in ["a", "b"]"#),
        r#"on: { alert: C, match: ['env!="dev"', 'sev=~"a|b"'] }"#
    );
    assert_eq!(on(r#"event.alert.labels.alertname in ["A", "B"]"#), "on: { alert: [A, B] }");
    assert_eq!(
        on(r#"event.alert.labels.alertname == "C" and (event.alert.labels.a == "1" or event.alert.labels.a == "2 and 3")"#),
        r#"on: { alert: C, match: ['a=~"1|2 and 3"'] }"#
    );
    assert_eq!(
        on(r#"event.alert.labels.alertname == "C" and event.alert.labels.pod is match("web", ignorecase=true)"#),
        r#"on: { alert: C, match: ['pod=~"(?i)(?:web).*"'] }"#
    );
    assert_eq!(
        refused(&rule("event.a == 1", "{ shutdown: {} }")),
        "its action `shutdown` ends the program that reads rulebooks, and no policy ends what decides"
    );
    assert_eq!(refused(&rule(r#"event.alert.labels.alertname == """#, runs)), "it asks for an alert without a name");
}

#[test]
fn a_criterion_on_the_name_of_an_alert_is_one_on_its_label_alertname() {
    let rule = |criteria: &str, action: &str| {
        format!("name: a\ntrigger: {{ type: prometheus.alert }}\ncriteria: {{ {criteria} }}\naction: {action}\n")
    };
    let undo = r#"{ ref: core.local, parameters: { cmd: "kubectl rollout undo deploy/api --to-revision=3" } }"#;
    let named = "trigger.labels.alertname: { type: contains, pattern: bad }, trigger.body.labels.env: { type: eq, pattern: prod }";
    check_draft(&rule(named, undo), &[r#"match: ['alertname=~".*bad.*"', 'env="prod"']"#], &["`--to-revision 3`"]);
    let over = rule("trigger.status: { type: eq, pattern: resolved }", undo);
    assert_eq!(refused(&over), "it answers alerts that are resolved, and policies answer alerts that begin");
    let elsewhere = r#"{ ref: core.remote, parameters: { cmd: "systemctl restart nginx", hosts: "web1,web2" } }"#;
    let draft = drafted(&rule("trigger.labels.alertname: { type: eq, pattern: X }", elsewhere));
    assert!(!draft.acts && draft.lost[0].contains("web1,web2"), "{draft:?}");
}

/// Each with what it comes to: lines that a draft has, `lost: ` and what is lost, or `!` and why it is refused.
#[track_caller]
fn check_told(text: &str, expected: &str) {
    match (expected.strip_prefix('!'), expected.strip_prefix("lost: ")) {
        (Some(why), _) => assert_eq!(refused(text), why, "{text}"),
        (_, Some(lost)) => check_draft(text, &[], &[lost]),
        _ => check_draft(text, &[expected], &[]),
    }
}

#[test]
fn what_narrows_a_playbook_is_read_in_every_shape_or_refuses_it() {
    let deletes = |trigger: &str| format!("customPlaybooks:\n  - triggers: [{trigger}]\n    actions: [{{ delete_pod: {{}} }}]\n");
    let scoped = |scope: &str| deletes(&format!("{{ on_prometheus_alert: {{ alert_name: Down, scope: {scope} }} }}"));
    let web = r#"on: { alert: Down, match: ['app=~"web"'] }"#;
    check_told(&scoped("{ include: { labels: [app=web] } }"), web);
    check_told(&scoped("{ include: [{ labels: app=web }] }"), web);
    check_told(&scoped("{ include: [{ labels: ['app=web, tier!=db'] }] }"), r#"match: ['app=~"web"', 'tier=~".+"', 'tier!~"db"']"#);
    check_told(&scoped("{ include: [{ namespace: shop }] }"), r#"match: ['namespace=~"(?:shop)"']"#);
    check_told(&scoped("{ include: [{ labels: [app=web], kind: Pod }] }"), "lost: `kind: Pod` of `scope: include`");
    check_told(&scoped("{ include: [{ labels: ['app=web,tier'] }] }"), "!`tier` of its scope says no label and value");
    check_told(
        &scoped("{ include: [{ labels: [app=web, tier=db] }] }"),
        "!its scope has several texts of labels (app=web, tier=db), and it is not clear whether one is enough; write one, with commas",
    );
    check_told(
        &scoped("{ include: [{ labels: { app: web } }] }"),
        "!`labels: app: web` of its scope is neither a text nor a list of texts",
    );
    check_told(&scoped("{ include: [x] }"), "!`x` of its scope is no map of what must be so");
    check_told(&scoped("[x]"), "!its `scope: x` is no map of `include` and `exclude`");
    let down = |parameter: &str| deletes(&format!("{{ on_prometheus_alert: {{ alert_name: Down, {parameter} }} }}"));
    check_told(&down("pod_name_prefix: [a, b]"), "!`pod_name_prefix: a, b` is no one text");
    check_told(&down("namespace_prefix: { x: y }"), "!`namespace_prefix: x: y` is no one text");
    check_told(&down("status: [resolved]"), "!`status: resolved` is no one text");
    let crash = |parameters: &str| deletes(&format!("{{ on_pod_crash_loop: {parameters} }}"));
    check_told(&crash("{ restart_count: often }"), "!`restart_count: often` is no number");
    check_told(&crash("{ restart_reason: [A] }"), "!`restart_reason: A` is no one text");
    check_told(&crash("[restart_count]"), "!`on_pod_crash_loop: restart_count` is no map of what it asks for");
    check_told(&deletes("{ on_prometheus_alert: { alert_name: Down } }, on_pod_evicted"), "lost: `on_pod_evicted` is no trigger");
    let does = |actions: &str| {
        format!("customPlaybooks:\n  - triggers: [{{ on_prometheus_alert: {{ alert_name: Down }} }}]\n    actions: [{actions}]\n")
    };
    check_told(&does("{ delete_pod: { grace_period: 5 } }"), "lost: `grace_period: 5` of `delete_pod`");
    check_told(&does("{ delete_pod: { name: api-1 } }"), "lost: `name: api-1` of `delete_pod`");
    check_told(&does("{ delete_pod: {} }, scale_it"), "lost: the action `scale_it`");
}

#[test]
fn what_narrows_or_stops_an_article_s_alert_is_read_in_every_shape_or_refuses_it() {
    let alert = |keys: &str, action: &str| format!("alert: Hot\nteam: a\n{keys}condition: error_rate > 5%\nactions: {action}\n");
    let restarts = |keys: &str| alert(keys, "[{ auto_remediate: restart }]");
    check_told(&restarts("service: [api]\n"), "!`service: api` is no name of one service");
    check_told(&restarts("labels: { service: [api, web] }\n"), "!`service: api, web` is no name of one service");
    check_told(&restarts("labels: [service=api]\n"), "!`labels: service=api` is no map of labels");
    check_told(&restarts("labels: service=api\n"), "!`labels: service=api` is no map of labels");
    check_told(&restarts("labels: { tier: [a, b] }\n"), "lost: `tier: a, b`");
    check_told(&restarts("labels: { alertname: Cold }\n"), "lost: `alertname: Cold`");
    check_told(&restarts("owner: b\n"), "lost: `team: a`");
    check_told(&restarts("severity: [page]\n"), "lost: `severity: page`");
    check_told(&restarts("annotations: [x]\n"), "lost: `annotations: x`");
    check_told(&alert("", "[{ enabled: false }, { auto_remediate: restart }]"), "stage: draft");
    check_told(&alert("", "[{ auto_remediate: restart }, { notify: '#a', dry_run: true }]"), "stage: dry-run");
    check_told(&alert("", "[{ auto_remediate: restart }, { enabled: perhaps }]"), "!`enabled: perhaps` is neither true nor false");
    check_told(&alert("", "[{ requires_approval: true }, { auto_remediate: restart }]"), "approval: { from: [oncall], of: all }");
    check_told(&alert("", "[{ auto_remediate: { action: [restart, rollback] } }]"), "lost: `action: restart, rollback`");
}

/// A rulebook that hears Alertmanager, with these sources beside it and these lines in its rule.
fn rulebook(sources: &str, rule: &str) -> String {
    format!(
        "- hosts: all\n  sources: [{{ name: am, ansible.eda.alertmanager: {{}} }}{sources}]\n  rules:\n    - name: a\n      action: {{ run_playbook: {{ name: p.yml }} }}\n{rule}"
    )
}

#[test]
fn a_condition_is_asked_as_it_stands_or_named_as_lost() {
    let condition = |text: &str| rulebook("", &format!("      condition: {text}\n"));
    let lines = "|\n        event.alert.labels.env == \"dev\"\n        and event.alert.labels.tier != \"db  1\"";
    check_told(&condition(lines), r#"on: { receiver: am, match: ['env="dev"', 'tier!="db  1"'] }"#);
    let either = "|\n        event.alert.labels.env == \"dev\"\n        or\tevent.alert.labels.env == \"qa\"";
    check_told(&condition(either), r#"match: ['env=~"dev|qa"']"#);
    let neither = r#"not (event.alert.labels.env == "prod" or event.alert.labels.tier != "web")"#;
    check_told(&condition(neither), "on: { receiver: am }");
    check_told(&condition(neither), "lost: it asks for not (event.alert.labels.env == ");
    check_told(&condition(r#"event.alert.labels.env == "pr" + "od""#), r#"lost: it asks for event.alert.labels.env == "pr" + "od""#);
    let both = r#"event.alert.labels.alertname == "A" and event.alert.labels.alertname == "B""#;
    check_told(&condition(both), "!no alert is called `A` and `B` at once");
    let one = r#"event.alert.labels.alertname in ["A", "B"] and event.alert.labels.alertname == "B""#;
    check_told(&condition(one), "on: { alert: B }");
    check_told(&condition("{ all: [{ x: y }] }"), "!`all: x: y` of its condition is no list of texts");
    check_told(&condition("{ all: [] }"), "!`all: ` of its condition is no list of texts");
    let any = r#"{ any: ['event.alert.labels.a == "1"', { x: y }] }"#;
    check_told(&condition(any), r#"!`any: event.alert.labels.a == "1", x: y` of its condition is no list of texts"#);
    check_told(&condition(r#"{ any: ['event.i == 1'], all: ['event.i == 2'] }"#), "!its condition has both `all` and `any`");
    check_told(&condition("[event.i == 1]"), "!its condition is a list (event.i == 1): write `all` or `any` above it");
}

#[test]
fn what_a_rulebook_says_beside_its_conditions_is_named() {
    let down = "      condition: event.alert.labels.alertname == \"Down\"\n";
    let any = "      condition: event.alert.labels.job == \"a\"\n";
    check_told(&rulebook(", { ansible.eda.webhook: {} }", down), "lost: it listens to `ansible.eda.webhook` too");
    check_told(&rulebook(", { name: two, alertmanager: {} }", any), "lost: it hears the receiver `two` too");
    let throttled = |throttle: &str| rulebook("", &format!("{down}      throttle: {throttle}\n"));
    check_told(&throttled("{ group_by_attributes: [event.a] }"), "lost: `group_by_attributes: event.a`");
    check_told(&throttled("{ once_after: 5 minutes, group_by_attributes: [event.a] }"), "lost: `group_by_attributes: event.a`");
    check_told(&throttled("{ once_within: 5 minutes, threshold: 3 }"), "lost: `threshold: 3`");
    check_told(&throttled("{ once_within: [5] }"), "!`once_within: 5` is no one text");
    check_told(&throttled("5 minutes"), "!its `throttle: 5 minutes` is no map");
    check_told(&rulebook("", &format!("{down}      actions: [debug]\n")), "!`debug` is no action with what it needs");
}

#[test]
fn an_autoscaler_counts_what_stands_in_its_own_namespace() {
    let web = |kind: &str, namespace: &str, cpu: &str| {
        format!(
            "---\nkind: {kind}\nmetadata: {{ name: web, namespace: {namespace} }}\nspec: {{ template: {{ spec: {{ containers: [{{ name: c, resources: {{ requests: {{ cpu: {cpu} }} }} }}] }} }} }}\n"
        )
    };
    let both = web("Deployment", "a", "4") + &web("StatefulSet", "b", "2") + &web("Deployment", "b", "100m") + "---\n";
    let drafts = imported(&(both.clone() + &SCALER.replace("name: web }\nspec", "name: web, namespace: b }\nspec"))).drafts;
    assert_eq!(drafts.len(), 2);
    for draft in &drafts {
        let (policy, rules) = (&draft.policy, draft.rules.as_deref().unwrap());
        assert!(policy.contains(r#"kube_deployment_spec_replicas{namespace="b",deployment="web"}"#), "{policy}");
        assert!(rules.contains(r#"container_cpu_usage_seconds_total{namespace="b",pod"#) && rules.contains("/ (0.1 * 0.5)"), "{rules}");
        let lost = "of several `web` it scales the one of the namespace `b`, and names here have no namespace";
        assert!(draft.lost.iter().any(|told| told == lost), "{:?}", draft.lost);
    }
    // Who names no namespace scales the one that there is.
    let alone = imported(&(web("Deployment", "a", "4") + "---\n" + SCALER)).drafts;
    let rules = alone[0].rules.as_deref().unwrap();
    assert!(rules.contains("/ (4 * 0.5)") && !rules.contains("namespace="), "{rules}");
    // What names no namespace is where it is applied, and so it is the one that is scaled.
    let unnamed = web("Deployment", "a", "4").replace(", namespace: a", "");
    let shop = SCALER.replace("name: web }\nspec", "name: web, namespace: shop }\nspec");
    let applied = imported(&(unnamed + "---\n" + &shop)).drafts;
    let rules = applied[0].rules.as_deref().unwrap();
    assert!(rules.contains("/ (4 * 0.5)") && !rules.contains("namespace="), "{rules}");
    assert!(!applied[0].lost.iter().any(|told| told.contains("of several")), "{:?}", applied[0].lost);
    let elsewhere = SCALER.replace("name: web }\nspec", "name: other, namespace: c }\nspec");
    let scalers = imported(&(SCALER.to_owned() + "---\n" + &elsewhere)).drafts;
    assert!(scalers.iter().all(|draft| draft.policy.contains("spec_replicas{namespace=")), "{scalers:?}");
}

/// `checkRetryLimits` of KubeadmControlPlane: once `minHealthyPeriod` is over there is no rest.
#[test]
fn a_control_plane_rests_as_long_as_its_controller_does() {
    let plane = |remediation: &str| {
        let machines = MACHINES.find("spec: { remediation: { maxRetry").unwrap();
        format!("{}spec: {{ remediation: {{ {remediation} }} }}\n", &MACHINES[..machines])
    };
    let backoff = |remediation: &str| {
        let import = imported(&plane(remediation));
        assert_eq!(import.refused, [], "{remediation}");
        let draft = import.drafts.iter().find(|draft| draft.name == "control-plane").unwrap().clone();
        let line = draft.policy.lines().find(|line| line.trim().starts_with("backoff:")).unwrap().trim().to_owned();
        (line, draft.assumed.iter().any(|told| told.starts_with("after minHealthyPeriod")))
    };
    let expected = |base: &str, reset: &str| format!("backoff: {{ base: {base}, factor: x1, cap: {base}, reset_after: {reset} }}");
    assert_eq!(backoff("retryPeriodSeconds: 120, minHealthyPeriodSeconds: 7200"), (expected("2m", "2h"), false));
    assert_eq!(backoff("retryPeriodSeconds: 1200, minHealthyPeriodSeconds: 600"), (expected("10m", "11m"), true));
    assert_eq!(backoff("retryPeriodSeconds: 3600"), (expected("1h", "1h1m"), true));
    assert_eq!(backoff("retryPeriodSeconds: 7200"), (expected("1h", "1h1m"), true));
}

#[test]
fn words_of_kinds_stand_in_their_order() {
    for (word, kind) in Kind::WORDS {
        assert_eq!(kind.word(), word);
    }
}
