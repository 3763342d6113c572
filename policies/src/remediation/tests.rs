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

#[test]
fn words_of_kinds_stand_in_their_order() {
    for (word, kind) in Kind::WORDS {
        assert_eq!(kind.word(), word);
    }
}
