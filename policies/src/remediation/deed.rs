//! What an action of another program does, as far as policies can do the same: commands of kubectl and of a service manager.

use super::page::{Note, Noted, Step, plain};

/// The step that a command stands for; `None` if it is somebody's own, of which nothing is known.
pub fn of_command(command: &str) -> Option<Noted<Step>> {
    let mut words: Vec<&str> = command.split_whitespace().filter(|word| *word != "sudo").collect();
    // Of several commands in a row none is known to be the one that counts.
    if words.iter().any(|word| word.contains(['|', ';', '&', '>', '<', '`', '\n']) || word.contains("$(")) || words.is_empty() {
        return None;
    }
    let program = words.remove(0);
    match program.rsplit('/').next().unwrap_or_default() {
        "kubectl" | "oc" => kubectl(&words),
        "systemctl" => match words[..] {
            ["restart", unit] => host_service(unit.trim_end_matches(".service")),
            _ => None,
        },
        "service" => match words[..] {
            [unit, "restart"] => host_service(unit),
            _ => None,
        },
        _ => None,
    }
}

fn host_service(unit: &str) -> Option<Noted<Step>> {
    let step = Step { target: Some(("replica", "$pod".to_owned())), ..Step::plain("restart", "{ mode: rolling }") };
    is_name(unit)
        .then(|| Noted::assumed(step, format!("the process `{unit}` of one machine is the replica that the alert's label `pod` names")))
}

/// What flags of kubectl say: how many replicas, and what is lost of them.
#[derive(Default)]
struct Flags<'w> {
    replicas: Option<&'w str>,
    lost: Vec<Note>,
}

/// Flags that take a value, with what is lost of it; an empty text: nothing that matters.
const VALUED: [(&str, &str); 16] = [
    ("-n", "names here have no namespace"),
    ("--namespace", "names here have no namespace"),
    ("--context", "here there is one cluster"),
    ("--cluster", "here there is one cluster"),
    ("--kubeconfig", "here there is one cluster"),
    ("--to-revision", "a rollback goes to the version before the last deploy"),
    ("--current-replicas", "it scales however many there are now"),
    ("--resource-version", "it acts on whatever version there is now"),
    ("--grace-period", "how long a process may take to end belongs to the scenario"),
    ("--timeout", "how long the command waits is not said here"),
    ("--request-timeout", ""),
    ("--cascade", "what belongs to it is not told apart here"),
    ("-o", ""),
    ("--output", ""),
    ("-v", ""),
    ("--v", ""),
];

/// Flags without a value, likewise.
const BARE: [(&str, &str); 10] = [
    ("--force", "it is done in the usual way"),
    ("--now", "it is done in the usual way"),
    ("--ignore-daemonsets", "what runs on every node is not told apart here"),
    ("--delete-emptydir-data", "what replicas keep on the node is not told apart here"),
    ("--delete-local-data", "what replicas keep on the node is not told apart here"),
    ("--disable-eviction", "disruption budgets hold here all the same"),
    ("--ignore-not-found", ""),
    ("--record", ""),
    ("--wait", ""),
    ("--overwrite", ""),
];

impl<'w> Flags<'w> {
    /// Tells flags from other words; `None` if a flag is not known, for it may change what the command does.
    fn of(words: &[&'w str]) -> Option<(Self, Vec<&'w str>)> {
        let (mut flags, mut plain_words, mut rest) = (Self::default(), Vec::new(), words.iter().copied());
        while let Some(word) = rest.next() {
            if !word.starts_with('-') {
                plain_words.push(word);
                continue;
            }
            let (flag, given) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
            let known = |list: &[(&str, &'static str)]| list.iter().find(|(own, _)| *own == flag).map(|(_, why)| *why);
            if flag == "--replicas" {
                flags.replicas = given.or_else(|| rest.next());
            } else if let Some(why) = known(&VALUED) {
                let value = given.or_else(|| rest.next())?;
                flags.lose(&format!("{flag} {value}"), why);
            } else if let Some(why) = known(&BARE).filter(|_| matches!(given, None | Some("true"))) {
                flags.lose(flag, why);
            } else if !(flag == "--dry-run" && matches!(given, Some("none" | "false")) || given == Some("false") && known(&BARE).is_some())
            {
                return None;
            }
        }
        Some((flags, plain_words))
    }

    fn lose(&mut self, flag: &str, why: &str) {
        if !why.is_empty() {
            self.lost.push(Note::Lost(format!("`{flag}`: {why}")));
        }
    }
}

fn kubectl(words: &[&str]) -> Option<Noted<Step>> {
    let (Flags { replicas, lost }, plain_words) = Flags::of(words)?;
    let mut step = ordered(&plain_words, replicas)?;
    step.notes.extend(lost);
    Some(step)
}

/// The step of a verb of kubectl and what it is aimed at.
fn ordered(plain_words: &[&str], replicas: Option<&str>) -> Option<Noted<Step>> {
    let named = |words: &[&str]| match words {
        [one] => one.split_once('/').map(|(kind, name)| (kind.to_owned(), name.to_owned())),
        [kind, name] => Some(((*kind).to_owned(), (*name).to_owned())),
        _ => None,
    };
    let is_workload = |kind: &str| {
        matches!(
            kind,
            "deployment" | "deployments" | "deploy" | "statefulset" | "statefulsets" | "sts" | "daemonset" | "ds" | "deployment.apps"
        )
    };
    let workload =
        |words: &[&str]| named(words).filter(|(kind, name)| is_workload(kind) && is_name(name)).map(|(_, name)| ("service", name));
    match plain_words {
        ["rollout", "restart", rest @ ..] => {
            Some(Noted::exact(Step { target: Some(workload(rest)?), ..Step::plain("restart", "{ mode: rolling }") }))
        }
        ["rollout", "undo", rest @ ..] => Some(Noted::exact(Step { target: Some(workload(rest)?), ..Step::plain("rollback", "{}") })),
        ["scale", rest @ ..] => {
            let count: u32 = replicas?.parse().ok().filter(|count| (1..=100_000).contains(count))?;
            Some(Noted::exact(Step { target: Some(workload(rest)?), ..Step::plain("scale", format!("{{ to: {count} }}")) }))
        }
        ["delete", rest @ ..] => {
            let (kind, name) = named(rest)?;
            let is_pod = matches!(&*kind, "pod" | "pods" | "po") && is_name(&name);
            is_pod.then(|| pod_deleted(Some(name)))
        }
        [word @ ("drain" | "cordon" | "uncordon"), node] => {
            let word = match *word {
                "drain" => "drain",
                "cordon" => "cordon",
                _ => "undrain",
            };
            is_name(node).then(|| Noted::exact(Step { target: Some(("node", (*node).to_owned())), ..Step::plain(word, "{}") }))
        }
        _ => None,
    }
}

/// A Pod that is deleted; its workload makes another.
pub fn pod_deleted(name: Option<String>) -> Noted<Step> {
    let target = Some(("replica", name.unwrap_or_else(|| "$pod".to_owned())));
    let assumed = "the Pod's workload makes another one; here the replica is restarted under its own name";
    Noted::assumed(Step { target, ..Step::plain("restart", "{ mode: rolling }") }, assumed)
}

/// What stands where somebody's own script is: a sentence on what is lost.
pub fn own(what: &str, name: &str) -> String {
    let name = if name.trim().is_empty() { String::new() } else { format!(" `{}`", shortened(name)) };
    format!("{what}{name}: its effect on the system is not known here; write what it does as steps")
}

/// A text for a comment, not longer than a line.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 100;
    let text = plain(text);
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).collect::<String>() + "…" }
}

/// Whether it is a name as it stands, nothing to be filled in.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, expected: Option<(&str, &str, &str)>) {
        let found = of_command(command).map(|step| step.value);
        let told =
            found.map(|step| (step.deed.0, step.deed.1, step.target.map(|(kind, name)| format!("{kind}/{name}")).unwrap_or_default()));
        assert_eq!(told, expected.map(|(deed, value, target)| (deed, value.to_owned(), target.to_owned())), "{command}");
    }

    #[test]
    fn commands_that_policies_can_give_are_known() {
        check("kubectl rollout restart deployment/cart -n shop", Some(("restart", "{ mode: rolling }", "service/cart")));
        check("kubectl -n shop rollout undo deploy cart", Some(("rollback", "{}", "service/cart")));
        check("kubectl scale --replicas=4 deployment/cart", Some(("scale", "{ to: 4 }", "service/cart")));
        check("kubectl scale deployment cart --replicas 4", Some(("scale", "{ to: 4 }", "service/cart")));
        check("kubectl delete pod cart-1 --force", Some(("restart", "{ mode: rolling }", "replica/cart-1")));
        check("kubectl drain node-1 --ignore-daemonsets", Some(("drain", "{}", "node/node-1")));
        check("kubectl cordon node-1", Some(("cordon", "{}", "node/node-1")));
        check("kubectl uncordon node-1", Some(("undrain", "{}", "node/node-1")));
        check("sudo systemctl restart nginx.service", Some(("restart", "{ mode: rolling }", "replica/$pod")));
        check("service hubot restart", Some(("restart", "{ mode: rolling }", "replica/$pod")));
    }

    #[test]
    fn flags_that_policies_do_not_have_are_named() {
        let lost = |command: &str| {
            let notes = of_command(command).unwrap_or_else(|| panic!("{command}")).notes;
            let told = notes.into_iter().filter_map(|note| match note {
                Note::Lost(what) => Some(what),
                Note::Assumed(_) => None,
            });
            told.collect::<Vec<_>>()
        };
        let undo = "`--to-revision 3`: a rollback goes to the version before the last deploy";
        assert_eq!(lost("kubectl rollout undo deploy/api --to-revision=3"), [undo]);
        assert_eq!(lost("kubectl rollout undo --to-revision 3 deploy/api -o yaml"), [undo]);
        assert_eq!(
            lost("kubectl scale deploy/api --replicas=3 --current-replicas=2 -n prod"),
            ["`--current-replicas 2`: it scales however many there are now", "`-n prod`: names here have no namespace"]
        );
        assert_eq!(lost("kubectl drain n-1 --ignore-daemonsets=false --dry-run=none"), [""; 0]);
    }

    #[test]
    fn commands_of_which_not_all_is_known_are_not() {
        for command in [
            "",
            "sudo",
            "kubectl",
            "kubectl scale --replicas=0 deployment/cart",
            "kubectl delete $kind $name -n $namespace",
            "kubectl delete pods --all",
            "kubectl rollout restart deployment/cart; rm -r /",
            "kubectl delete pod $(hostname)",
            "kubectl rollout restart deployment/cart --dry-run=client",
            "kubectl rollout restart deployment -l app=cart",
            "kubectl drain node-1 --pod-selector app=cart",
            "systemctl restart {{ unit }}",
            "/opt/fix.sh",
        ] {
            check(command, None);
        }
    }
}
