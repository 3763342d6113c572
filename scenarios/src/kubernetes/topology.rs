//! Who answers, who asks whom and who asks from outside: what Services choose, and what environments name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use firedrill_core::name::Name;
use firedrill_core::words::counted;

use crate::kubernetes::cluster::{Cluster, Service};
use crate::kubernetes::workload::{Kind, Setting, Workload};

/// The most calls of one service that are drafted; a piece of work has at most 100 steps.
const MOST_CALLS: usize = 99;

/// A system as far as manifests tell it.
#[derive(Clone, Debug, Default)]
pub struct Topology<'c> {
    /// What becomes a service; whoever asks comes before whom it asks.
    pub parts: Vec<Part<'c>>,
    /// Who asks from outside.
    pub clients: Vec<Client>,
    /// What was not taken, a sentence each.
    pub left_out: Vec<String>,
}

/// What becomes a service.
#[derive(Clone, Debug)]
pub struct Part<'c> {
    /// Its name among services.
    pub name: Name,
    /// What runs; `None` if nothing in the files stands behind a Service that is asked.
    pub workload: Option<&'c Workload>,
    /// The Services that lead to it.
    pub services: Vec<&'c Service>,
    /// Whom it asks, once each.
    pub calls: Vec<Call>,
}

/// A call that an environment names.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which part is asked.
    pub to: usize,
    /// The variable or the option that names it.
    pub why: String,
}

/// Who asks from outside.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Which part it asks.
    pub asks: usize,
    /// Why it is there, if that is assumed.
    pub assumed: Option<String>,
}

/// A workload that asks others and is itself asked by nobody.
struct Asker<'c> {
    workload: &'c Workload,
    calls: Vec<Call>,
}

/// Finds out who asks whom.
pub fn topology(cluster: &Cluster) -> Topology<'_> {
    let mut found = Topology::default();
    let hosts: BTreeSet<(&str, &str)> = cluster.services.iter().map(|service| (&*service.namespace, &*service.name)).collect();
    let mut askers = Vec::new();
    for workload in &cluster.workloads {
        let services: Vec<&Service> = cluster.services.iter().filter(|service| leads_to(service, workload)).collect();
        let is_asked = !services.is_empty() || workload.kind == Kind::Deployment && !workload.pod.ports.is_empty();
        if workload.replicas == Some(0) {
            found.left_out.push(format!("{} `{}`: it is scaled to 0", workload.kind.word(), workload.name));
        } else if is_asked {
            found.parts.push(Part { name: workload.name.clone(), workload: Some(workload), services, calls: Vec::new() });
        } else {
            askers.push(workload);
        }
    }
    found.name_apart();
    let mut directory = found.directory(cluster);
    let named: Vec<Vec<Named<'_>>> =
        found.parts.iter().map(|part| part.workload.map_or_else(Vec::new, |of| hosts_of(cluster, of, &hosts))).collect();
    let asked: Vec<(&Workload, Vec<Named<'_>>)> =
        askers.into_iter().map(|workload| (workload, hosts_of(cluster, workload, &hosts))).collect();
    let outside: Vec<(&str, &str)> = cluster.entries.iter().map(|(namespace, name)| (&**namespace, &**name)).collect();
    for (namespace, name) in outside.iter().filter(|entry| !hosts.contains(*entry)) {
        found
            .left_out
            .push(format!("what an Ingress or a route leads to: no Service `{name}` of the namespace `{namespace}` is in the files"));
    }
    let outside = outside.into_iter().chain(cluster.open_services());
    let wanted = named.iter().chain(asked.iter().map(|(_, named)| named)).flatten().map(|named| named.host).chain(outside);
    found.stand_ins(cluster, wanted, &mut directory);
    for (index, named) in named.iter().enumerate() {
        if let Some(own) = named.iter().find(|named| directory.get(&named.host) == Some(&index)) {
            let name = &found.parts[index].name;
            found.left_out.push(format!(
                "the call from `{name}` to itself (`{}`): calls would go round in a circle; an endpoint of its own would end it",
                own.why
            ));
        }
        found.parts[index].calls = calls(named, &directory, Some(index));
    }
    let mut with_calls = Vec::new();
    for (workload, named) in &asked {
        match calls(named, &directory, None) {
            calls if calls.is_empty() => found.left_out.push(format!(
                "{} `{}`: no Service leads to it, and it names nobody whom it asks",
                workload.kind.word(),
                workload.name
            )),
            calls => with_calls.push(Asker { workload, calls }),
        }
    }
    found.tell_unseen(cluster);
    found.tell_strangers(cluster, &hosts);
    found.clients = clients(cluster, &found, &with_calls, &directory);
    found.cut_circles();
    found.in_order()
}

/// Whether a Service chooses the pods of a workload.
pub(super) fn leads_to(service: &Service, workload: &Workload) -> bool {
    let chosen = |(key, value): (&Name, &Name)| workload.labels.get(key) == Some(value);
    service.namespace == workload.namespace && !service.selector.is_empty() && service.selector.iter().all(chosen)
}

/// Which part answers under the name of a Service: namespace and name.
type Directory<'c> = BTreeMap<(&'c str, &'c str), usize>;

impl<'c> Topology<'c> {
    /// Gives parts of one name different ones.
    fn name_apart(&mut self) {
        let mut counts: BTreeMap<Name, usize> = BTreeMap::new();
        for part in &self.parts {
            *counts.entry(part.name.clone()).or_default() += 1;
        }
        let mut taken = BTreeSet::new();
        for part in &mut self.parts {
            let Some(workload) = part.workload else { continue };
            let longer = [
                workload.name.to_string(),
                format!("{}.{}", workload.name, workload.namespace),
                format!("{}.{}.{}", workload.name, workload.namespace, workload.kind.word().to_lowercase()),
            ];
            let is_shared = counts[&part.name] > 1;
            let free = longer.iter().skip(usize::from(is_shared)).find(|name| !taken.contains(*name)).unwrap_or(&longer[2]);
            part.name = Name::new(free);
            taken.insert(free.clone());
        }
    }

    /// The part behind each Service; of several the one with the most pods.
    fn directory(&mut self, cluster: &'c Cluster) -> Directory<'c> {
        let mut directory = Directory::new();
        for service in &cluster.services {
            let behind = |part: &Part<'_>| part.workload.is_some_and(|workload| leads_to(service, workload));
            let size = |index: usize| self.parts[index].workload.and_then(|workload| workload.replicas).unwrap_or(1);
            let candidates: Vec<usize> = (0..self.parts.len()).filter(|index| behind(&self.parts[*index])).collect();
            let Some(&largest) = candidates.iter().rev().max_by_key(|index| size(**index)) else { continue };
            directory.insert((&service.namespace, &service.name), largest);
            if candidates.len() > 1 {
                let others: Vec<&str> =
                    candidates.iter().filter(|index| **index != largest).map(|index| &*self.parts[*index].name).collect();
                self.left_out.push(format!(
                    "Service `{}` leads to `{}` and to `{}`: here it leads to the first only",
                    service.name,
                    self.parts[largest].name,
                    others.join("`, `")
                ));
            }
        }
        directory
    }

    /// A part for every Service that is asked and has nothing behind it in the files.
    fn stand_ins<'h>(&mut self, cluster: &'c Cluster, wanted: impl Iterator<Item = (&'h str, &'h str)>, directory: &mut Directory<'c>) {
        let wanted: BTreeSet<(&str, &str)> = wanted.collect();
        let mut idle = Vec::new();
        for service in &cluster.services {
            let host = (&*service.namespace, &*service.name);
            if directory.contains_key(&host) {
                continue;
            }
            if !wanted.contains(&host) {
                idle.push(&*service.name);
                continue;
            }
            let is_taken = self.parts.iter().any(|part| part.name == service.name);
            let name = if is_taken { Name::from(format!("{}.{}", service.name, service.namespace)) } else { service.name.clone() };
            directory.insert(host, self.parts.len());
            self.parts.push(Part { name, workload: None, services: vec![service], calls: Vec::new() });
        }
        if !idle.is_empty() {
            let told = counted(idle.len() as u64, "Service");
            self.left_out.push(format!("{told} with no workload behind it in the files, asked by nobody: {}", idle.join(", ")));
        }
    }

    /// Tells of environments that the files do not show.
    fn tell_unseen(&mut self, cluster: &Cluster) {
        let mut unseen = Vec::new();
        for workload in &cluster.workloads {
            let is_unseen = |setting: &Setting| match setting {
                Setting::Known { .. } | Setting::Argument { .. } | Setting::Field { .. } => false,
                Setting::Entry { map, .. } | Setting::All(map) => !cluster.maps.contains_key(&(workload.namespace.clone(), map.clone())),
                Setting::Secret => true,
            };
            if workload.pod.settings.iter().any(is_unseen) {
                unseen.push(&*workload.name);
            }
        }
        if !unseen.is_empty() {
            let told = "as far as it stands in Secrets, or in ConfigMaps that are not in the files: calls that it names are missing";
            self.left_out.push(format!("the environment of {}, {told}", unseen.join(", ")));
        }
    }

    /// Tells of addresses to which no Service of the files belongs.
    fn tell_strangers(&mut self, cluster: &Cluster, hosts: &BTreeSet<(&str, &str)>) {
        for workload in &cluster.workloads {
            let mut strangers: BTreeSet<String> = BTreeSet::new();
            let mut outside: BTreeSet<String> = BTreeSet::new();
            let mut unknown: BTreeSet<String> = BTreeSet::new();
            each_setting(cluster, workload, &mut |name, value| {
                let known = (hosts, &cluster.unplaced);
                for (host, is_sure) in addresses(name, value) {
                    if self::known(host, &workload.namespace, known).is_some() {
                        continue;
                    }
                    if host.contains("$(") {
                        unknown.extend(is_sure.then(|| host.to_owned()));
                    } else if is_sure && is_of_cluster(host) {
                        strangers.insert(host.to_owned());
                    } else if is_elsewhere(host) && !is_mailbox(value, host) {
                        outside.insert(host.to_owned());
                    }
                }
            });
            if !outside.is_empty() {
                let outside = outside.into_iter().collect::<Vec<_>>().join("`, `");
                self.left_out.push(format!(
                    "whom `{}` asks outside of the files, at `{outside}`: a service of the scenario can stand for each",
                    workload.name
                ));
            }
            if !unknown.is_empty() {
                let unknown = unknown.into_iter().collect::<Vec<_>>().join("`, `");
                self.left_out.push(format!("whom `{}` asks at `{unknown}`: no file says what that stands for", workload.name));
            }
            if !strangers.is_empty() {
                let strangers = strangers.into_iter().collect::<Vec<_>>().join("`, `");
                self.left_out.push(format!("whom `{}` asks at `{strangers}`: no Service in the files is called so", workload.name));
            }
        }
    }

    /// Removes every call that would close a circle: a request would never come to an end.
    fn cut_circles(&mut self) {
        let mut done: Vec<Option<bool>> = vec![None; self.parts.len()];
        let roots: Vec<usize> = self.clients.iter().map(|client| client.asks).chain(0..self.parts.len()).collect();
        for root in roots {
            if done[root].is_some() {
                continue;
            }
            done[root] = Some(false);
            let mut path = vec![(root, 0)];
            while let Some((part, followed)) = path.last_mut() {
                let (part, next) = (*part, self.parts[*part].calls.get(*followed).map(|call| call.to));
                match next {
                    None => {
                        done[part] = Some(true);
                        path.pop();
                    }
                    Some(next) if done[next] == Some(false) => {
                        let call = self.parts[part].calls.remove(*followed);
                        let (from, to) = (&self.parts[part].name, &self.parts[next].name);
                        self.left_out.push(format!(
                            "the call from `{from}` to `{to}` (`{}`): calls would go round in a circle; an endpoint of its own would end it",
                            call.why
                        ));
                    }
                    Some(next) => {
                        *followed += 1;
                        if done[next].is_none() {
                            done[next] = Some(false);
                            path.push((next, 0));
                        }
                    }
                }
            }
        }
    }

    /// The same with parts in the order in which requests reach them.
    fn in_order(mut self) -> Self {
        // Whom clients ask comes first, then whom those ask, and so on.
        let mut order: Vec<usize> = Vec::new();
        let mut seen = vec![false; self.parts.len()];
        let mut waiting: VecDeque<usize> = self.clients.iter().map(|client| client.asks).collect();
        while let Some(part) = waiting.pop_front() {
            if !std::mem::replace(&mut seen[part], true) {
                order.push(part);
                waiting.extend(self.parts[part].calls.iter().map(|call| call.to));
            }
        }
        assert_eq!(order.len(), self.parts.len(), "whoever nobody asks has a client");
        let mut position = vec![0; order.len()];
        for (index, part) in order.iter().enumerate() {
            position[*part] = index;
        }
        let mut parts: Vec<Option<Part<'c>>> = self.parts.into_iter().map(Some).collect();
        self.parts = order.iter().map(|part| parts[*part].take().expect("the order names every part once")).collect();
        for call in self.parts.iter_mut().flat_map(|part| &mut part.calls) {
            call.to = position[call.to];
        }
        for client in &mut self.clients {
            client.asks = position[client.asks];
        }
        self
    }
}

/// A Service that an environment names, with the variable.
struct Named<'c> {
    host: (&'c str, &'c str),
    why: String,
}

/// The Services that a workload's environment and arguments name.
fn hosts_of<'c>(cluster: &Cluster, workload: &Workload, hosts: &BTreeSet<(&'c str, &'c str)>) -> Vec<Named<'c>> {
    let mut found = Vec::new();
    each_setting(cluster, workload, &mut |name, value| {
        for host in named_hosts((name, value), &workload.namespace, (hosts, &cluster.unplaced)) {
            let why = if name.is_empty() || name.contains(char::is_whitespace) {
                "an argument".to_owned()
            } else {
                name.trim_start_matches('-').to_owned()
            };
            found.push(Named { host, why });
        }
    });
    found
}

/// Every name and value of a workload's environment and arguments, as far as the files show them, with what `$(VAR)` stands for: in a variable one that
/// comes before it, in an argument any. Values out of ConfigMaps are taken as they are.
fn each_setting(cluster: &Cluster, workload: &Workload, look: &mut dyn FnMut(&str, &str)) {
    let map = |name: &Name| cluster.maps.get(&(workload.namespace.clone(), name.clone()));
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let value_of = |value: &str, variables: &BTreeMap<String, String>| {
        expanded(value, |name| variables.get(name).cloned().or_else(|| link(cluster, &workload.namespace, name)))
    };
    for setting in &workload.pod.settings {
        match setting {
            Setting::Known { name, value } => {
                let value = value_of(value, &variables);
                look(name, &value);
                variables.insert(name.to_string(), value);
            }
            Setting::Argument { name, value } => look(name, &value_of(value, &variables)),
            Setting::Entry { name, map: of, key } => {
                if let Some(value) = map(of).and_then(|entries| entries.get(key)) {
                    look(name, value);
                    variables.insert(name.to_string(), value.to_string());
                }
            }
            Setting::All(of) => {
                for (name, value) in map(of).into_iter().flatten() {
                    look(name, value);
                    variables.insert(name.to_string(), value.to_string());
                }
            }
            Setting::Field { name, path } => {
                variables.extend(own(workload, path).map(|value| (name.to_string(), value)));
            }
            Setting::Secret => {}
        }
    }
}

/// What stands at a path of a pod, as far as addresses are made of it. The first pod stands for all.
fn own(workload: &Workload, path: &str) -> Option<String> {
    match path {
        "metadata.namespace" => Some(workload.namespace.to_string()),
        "metadata.name" => Some(format!("{}-0", workload.name)),
        "status.podIP" | "status.podIPs" => Some("localhost".to_owned()),
        _ => None,
    }
}

/// What a variable holds that Kubernetes gives to every container for a Service of its namespace (`CART_SERVICE_HOST`), as far as addresses are made of it.
fn link(cluster: &Cluster, namespace: &str, name: &str) -> Option<String> {
    let (of, is_host) = match name.strip_suffix("_SERVICE_HOST") {
        Some(of) => (of, true),
        None => (name.strip_suffix("_SERVICE_PORT")?, false),
    };
    let is_it = |service: &&Service| *service.namespace == *namespace && service.name.to_ascii_uppercase().replace('-', "_") == of;
    let service = cluster.services.iter().find(is_it)?;
    // Which port it is tells nobody who is asked.
    Some(if is_host { service.name.to_string() } else { "80".to_owned() })
}

/// A value with what each `$(VAR)` stands for, as Kubernetes expands it: what nobody defines stays as it is, and `$$` is a `$`.
fn expanded(value: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    // What stands for ever more of itself comes to an end: no address is so long.
    const LONGEST: usize = 4096;
    let mut text = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = reference(rest);
        let length = name.map_or_else(|| if rest.starts_with("$$") { 2 } else { 1 }, |name| name.len() + 3);
        match name.and_then(&variable).filter(|value| text.len() + value.len() <= LONGEST) {
            Some(value) => text.push_str(&value),
            None if name.is_some() => text.push_str(&rest[..length]),
            None => text.push('$'),
        }
        rest = &rest[length..];
    }
    text + rest
}

/// The name in a `$(VAR)` with which a text begins.
fn reference(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("$(")?;
    let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)))?;
    (end > 0 && inner[end..].starts_with(')')).then(|| &inner[..end])
}

/// All Services, by namespace and name, and the names of those that name no namespace.
type Hosts<'h, 'c> = (&'h BTreeSet<(&'c str, &'c str)>, &'h BTreeSet<Name>);

/// The Services that a value names: as the host of an address, or as a whole where the variable's name says that it is one.
fn named_hosts<'c>((name, value): (&str, &str), own: &str, hosts: Hosts<'_, 'c>) -> Vec<(&'c str, &'c str)> {
    addresses(name, value).into_iter().filter_map(|(host, _)| known(host, own, hosts)).collect()
}

/// Whether a host is one that only the DNS of a cluster knows: a single word, or one with `.svc`; its own machine is none.
fn is_of_cluster(host: &str) -> bool {
    let is_number = host.split('.').all(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    let is_word = !host.contains('.') && host.starts_with(|c: char| c.is_ascii_lowercase());
    host != "localhost" && !is_number && (is_word || host.contains(".svc"))
}

/// Whether a host is one that every DNS knows, or the address of a machine: names with a dot that end as those of the internet do, and not in `.svc`.
fn is_elsewhere(host: &str) -> bool {
    // Names of the cluster, and what files end in.
    const NONE: [&str; 12] = ["local", "yaml", "yml", "json", "xml", "toml", "ini", "conf", "properties", "txt", "sh", "jar"];
    let labels: Vec<&str> = host.split('.').collect();
    let numbers: Vec<u8> = labels.iter().filter_map(|label| label.parse().ok()).collect();
    let is_machine = labels.len() == 4 && numbers.len() == 4 && !matches!(numbers[0], 0 | 127);
    let last = labels.last().copied().unwrap_or_default();
    let is_name = labels.len() > 1 && last.len() > 1 && last.bytes().all(|byte| byte.is_ascii_lowercase()) && !labels.contains(&"");
    is_machine || is_name && !labels.contains(&"svc") && !NONE.contains(&last)
}

/// Whether a host stands in a value as that of somebody's mail.
fn is_mailbox(value: &str, host: &str) -> bool {
    let mut words = value.split(|c: char| c.is_whitespace() || ",;\"'".contains(c));
    words.any(|word| !word.contains("//") && word.strip_suffix(host).is_some_and(|before| before.ends_with('@')))
}

/// The hosts that a value names, each with whether it surely is one: it stands in an address, and not for the whole value.
fn addresses<'v>(name: &str, value: &'v str) -> Vec<(&'v str, bool)> {
    const ADDRESSES: [&str; 12] =
        ["ADDR", "HOST", "URL", "URI", "ENDPOINT", "SERVICE", "SERVER", "BROKER", "UPSTREAM", "BACKEND", "DSN", "PEER"];
    // Telemetry goes out beside requests, and nobody waits for it.
    const BESIDE: [&str; 9] = ["OTEL", "OTLP", "JAEGER", "ZIPKIN", "COLLECTOR", "STATSD", "PROMETHEUS", "TRACING", "PYROSCOPE"];
    let upper = name.to_ascii_uppercase();
    if BESIDE.iter().any(|word| upper.contains(word)) {
        return Vec::new();
    }
    // What looks like a port there is a version.
    if ["IMAGE", "TAG"].iter().any(|word| upper.split(|c: char| !c.is_ascii_alphanumeric()).next_back() == Some(word)) {
        return Vec::new();
    }
    let is_address = ADDRESSES.iter().any(|word| upper.contains(word)) && !upper.ends_with("SERVICE_NAME");
    let mut found = Vec::new();
    let mut end = 0;
    while let Some((start, part)) = next_part(value, end) {
        end = start + part;
        let host = value[start..end].trim_matches('.');
        // What stands there in `u:p@tcp(db:3306)/x` is a protocol.
        if value[..start].ends_with('@') && value[end..].starts_with('(') {
            continue;
        }
        let has_port = value[end..].strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let is_user = is_user(value, (start, end), has_port);
        let is_address_itself = value[..start].ends_with("//") || value[..start].ends_with('@');
        let is_told = has_port || is_keyed(&value[..start]);
        let is_host = !is_user && (is_address_itself || is_told);
        let is_whole = is_address && start == 0 && end == value.trim_end().len();
        if is_host || is_whole || host.contains(".svc") {
            // A word and a number may be anything where nothing says that it is an address.
            let is_sure = host.contains(".svc") || !is_user && (is_address_itself || is_told && is_address);
            found.push((host, is_sure));
        }
    }
    found
}

/// Where the next thing begins that may be a host, and how long it is: letters, digits, `-`, `.` and what is `$(VAR)` still.
fn next_part(value: &str, from: usize) -> Option<(usize, usize)> {
    let start = from + value[from..].char_indices().map(|(at, _)| at).find(|at| letters(&value[from + at..]) > 0)?;
    let mut length = 0;
    loop {
        match letters(&value[start + length..]) {
            0 => return Some((start, length)),
            more => length += more,
        }
    }
}

/// How long the part of a host is with which a text begins: a letter or so, or a whole `$(VAR)`.
fn letters(text: &str) -> usize {
    let letter = usize::from(text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.'));
    reference(text).map_or(letter, |name| name.len() + 3)
}

/// Whether what stands before a name says that it is a host: `host=db port=5432`.
fn is_keyed(before: &str) -> bool {
    let word =
        before.strip_suffix('=').and_then(|before| before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c))).next());
    word.map(|word| word.trim_start_matches('-'))
        .is_some_and(|word| ["host", "hostaddr", "server"].iter().any(|key| word.eq_ignore_ascii_case(key)))
}

/// Whether a name is who asks, with a password perhaps, and not who is asked: it stands before an `@`. Between `//` and that there may be whatever RFC 3986
/// allows in a password; elsewhere, and after a port, `&` and the like begin something else, as a quote does that stood before the name too.
fn is_user(value: &str, (start, end): (usize, usize), has_port: bool) -> bool {
    const OF_PASSWORDS: [char; 6] = ['&', '(', ')', ',', ';', '\''];
    let after_port = value[end..].trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
    let may_hold_all = value[..start].ends_with("//") && !(has_port && after_port.starts_with(OF_PASSWORDS));
    let is_of_password = |c: char| may_hold_all && OF_PASSWORDS.contains(&c) && !(c == '\'' && value[..start].contains(c));
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "._~%!$*+=:-".contains(c) || is_of_password(c));
    value[end..].chars().find(|c| ends(*c)) == Some('@')
}

/// The Service that a host names, as the DNS of Kubernetes resolves it: `cart`, `cart.shop`, `cart.shop.svc.cluster.local`, `cart-0.cart`.
/// A Service without a namespace stands wherever the files are applied, so `cart.shop.svc` may be such a `cart`.
fn known<'c>(host: &str, own: &str, (hosts, unplaced): Hosts<'_, 'c>) -> Option<(&'c str, &'c str)> {
    let mut labels: Vec<&str> = host.split('.').collect();
    let is_pod = |labels: &[&str]| {
        let number = labels.get(1).and_then(|of| labels[0].strip_prefix(of)?.strip_prefix('-'));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if is_pod(&labels) {
        labels.remove(0);
    }
    let wanted = match labels[..] {
        [name] => (own, name),
        [name, namespace] | [name, namespace, "svc", ..] => (namespace, name),
        _ => return None,
    };
    // A set of longer lives cannot be asked for a member of a shorter one.
    let is_cluster_name = labels.get(2) == Some(&"svc");
    let is_it = |host: &&(&str, &str)| is_cluster_name && host.1 == wanted.1 && host.0 == "default" && unplaced.contains(host.1);
    hosts.iter().find(|host| **host == wanted).or_else(|| hosts.iter().find(is_it)).copied()
}

/// Each part once, and never the one that asks.
fn calls(named: &[Named<'_>], directory: &Directory<'_>, own: Option<usize>) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for named in named {
        let Some(&to) = directory.get(&named.host) else { continue };
        if Some(to) != own && calls.len() < MOST_CALLS && calls.iter().all(|call| call.to != to) {
            calls.push(Call { to, why: named.why.clone() });
        }
    }
    calls
}

/// Who asks from outside: workloads that are asked by nobody, users of what is open to the outside, and somebody for whoever is left.
fn clients(cluster: &Cluster, found: &Topology<'_>, askers: &[Asker<'_>], directory: &Directory<'_>) -> Vec<Client> {
    let mut clients = Vec::new();
    let mut taken: BTreeSet<String> = found.parts.iter().map(|part| part.name.to_string()).collect();
    let mut free = |wanted: String| {
        let mut names = std::iter::once(wanted.clone()).chain((2..).map(|number| format!("{wanted}-{number}")));
        names.find(|name| taken.insert(name.clone())).expect("numbers do not end")
    };
    for Asker { workload, calls } in askers {
        for call in calls {
            let whom = &found.parts[call.to].name;
            let name = if calls.len() == 1 { workload.name.to_string() } else { format!("{}-to-{whom}", workload.name) };
            let assumed = Some(format!("a client, for no Service leads to it and its {} names `{whom}`", call.why));
            clients.push(Client { name: free(name), asks: call.to, assumed });
        }
    }
    let mut reached = vec![false; found.parts.len()];
    clients.iter().for_each(|client| reach(found, client.asks, &mut reached));
    let entries = cluster.entries.iter().map(|(namespace, name)| (&**namespace, &**name)).chain(cluster.open_services());
    let entries: BTreeSet<usize> = entries.filter_map(|host| directory.get(&host).copied()).collect();
    // Whoever else asks there: what is open to the outside has users.
    for &entry in &entries {
        let name = if entries.len() == 1 { "users".to_owned() } else { format!("users-of-{}", found.parts[entry].name) };
        clients.push(Client { name: free(name), asks: entry, assumed: None });
        reach(found, entry, &mut reached);
    }
    // Whoever nobody asks first, so that one client is enough for all behind it; what is left then asks in a circle.
    let called: BTreeSet<usize> = found.parts.iter().flat_map(|part| &part.calls).map(|call| call.to).collect();
    let (roots, rest): (Vec<usize>, Vec<usize>) = (0..found.parts.len()).partition(|part| !called.contains(part));
    let alone = clients.is_empty() && roots.len() == 1;
    for part in roots.into_iter().chain(rest) {
        if !reached[part] {
            let name = if alone { "users".to_owned() } else { format!("users-of-{}", found.parts[part].name) };
            let assumed = Some("no file says who asks it".to_owned());
            clients.push(Client { name: free(name), asks: part, assumed });
            reach(found, part, &mut reached);
        }
    }
    clients
}

/// Marks a part and all that it asks.
fn reach(found: &Topology<'_>, from: usize, reached: &mut [bool]) {
    let mut waiting = vec![from];
    while let Some(part) = waiting.pop() {
        if !std::mem::replace(&mut reached[part], true) {
            waiting.extend(found.parts[part].calls.iter().map(|call| call.to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_names_services_as_hosts_and_nothing_else() {
        let hosts = BTreeSet::from([("shop", "cart"), ("shop", "redis"), ("data", "db"), ("shop", "kafka")]);
        let check = |name: &str, value: &str, want: &[&str]| {
            let found: Vec<&str> =
                named_hosts((name, value), "shop", (&hosts, &BTreeSet::new())).into_iter().map(|(_, name)| name).collect();
            assert_eq!(found, want, "{name}={value}");
        };
        check("CART_ADDR", "cart:7070", &["cart"]);
        check("CART_HOST", "cart", &["cart"]);
        check("CACHE", "redis", &[]);
        check("CACHE", "redis://redis:6379/0", &["redis"]);
        check("X", "http://cart/items", &["cart"]);
        check("DATABASE_URL", "postgres://user:pw@db.data.svc.cluster.local:5432/shop", &["db"]);
        check("DB_HOST", "db.data", &["db"]);
        check("DB", "postgres://redis@db.data:5432/app", &["db"]);
        check("DB", "postgres://cart:redis@db.data/app,redis:1", &["db", "redis"]);
        check("DB", "db.data:5432", &["db"]);
        check("UPSTREAMS", "cart.shop:80,redis.shop:6379", &["cart", "redis"]);
        check("DB_HOST", "db", &[]);
        check("DB_HOST", "db.example.com", &[]);
        check("BROKERS", "kafka-0.kafka:9092,kafka-1.kafka:9092", &["kafka", "kafka"]);
        check("OTEL_EXPORTER_OTLP_ENDPOINT", "http://cart:4317", &[]);
        check("OTEL_SERVICE_NAME", "cart", &[]);
        check("SERVICE_NAME", "cart", &[]);
        check("GREETING", "a cart: 7 items", &[]);
        check("application.properties", "cart.url=http://cart:8080\nowner=team@corp.example", &["cart"]);
        check("MAIL", "smtp://cart:25&from=x@y.z", &["cart"]);
        check("BROKER_URL", "amqp://cart:s&c(r)e,t;@redis:6379", &["redis"]);
        check("BROKER_URL", "amqp://cart:s'cret@redis:6379", &["redis"]);
        check("URLS", "'http://cart','x@redis'", &["cart", "redis"]);
        check("JSON", "{\"a\":\"http://cart:80\",\"b\":\"x@redis\"}", &["cart", "redis"]);
        check("HOSTS", "cart:80|owner@x", &["cart"]);
        check("DB", "redis://redis:c2VjcmV0Cg==@cart:6379", &["cart"]);
        check("CART_IMAGE", "cart:7", &[]);
        check("KV", "host=db.data port=5432 user=redis", &["db"]);
        check("KV", "user=u;Server=redis;", &["redis"]);
        check("", "psql --host=cart", &["cart"]);
        check("KV", "virtualhost=cart, vhost.host=cart", &[]);
        check("DSN", "u:p@tcp(redis:6379)/x", &["redis"]);
        check("X", "http://$(GONE):80/", &[]);
    }

    #[test]
    fn a_word_with_a_number_is_surely_a_host_only_where_something_says_so() {
        let sure = |name: &str, value: &str| {
            let found = addresses(name, value).into_iter().filter(|(_, is_sure)| *is_sure);
            found.map(|(host, _)| host.to_owned()).collect::<Vec<_>>()
        };
        for (name, value) in [("IMAGE", "busybox:7"), ("PROXY_IMAGE_TAG", "envoy:1"), ("MSG", "retry:3 times"), ("X", "a:1")] {
            assert!(sure(name, value).is_empty(), "{name}={value}");
        }
        assert_eq!(sure("PAY_ADDR", "payments:8080"), ["payments"]);
        assert_eq!(sure("X", "http://payments/v1"), ["payments"]);
        assert_eq!(sure("X", "amqp://user:pw@mq"), ["mq"]);
        assert_eq!(sure("BROKER_URL", "amqp://orders:s&cret@mq:5672"), ["mq"]);
        assert_eq!(sure("X", "a.b.svc"), ["a.b.svc"]);
        assert_eq!(sure("MYSQL_DSN", "u:p@tcp(mysql:3306)/x"), ["mysql"]);
        assert_eq!(sure("MYSQL_DSN", "$(U):$(P)@tcp(mysql:3306)/x"), ["mysql"]);
        assert_eq!(sure("PG_DSN", "host=db2 port=5432"), ["db2"]);
        assert!(sure("KV", "host=db2 port=5432").is_empty());
        assert_eq!(sure("X", "postgres://$(U):$(P)@$(H):$(PORT)/x"), ["$(H)"]);
        assert_eq!(sure("X", "http://a.$(NS).svc/, http://$(cat x):80/"), ["a.$(NS).svc"]);
    }

    #[test]
    fn a_reference_is_what_its_variable_holds_and_else_stays() {
        let check = |value: &str, want: &str| assert_eq!(expanded(value, |name| (name == "H").then(|| "cart".to_owned())), want);
        check("http://$(H):80/$(H)", "http://cart:80/cart");
        check("$(GONE).$(H)", "$(GONE).cart");
        check("$$(H) costs 3$", "$(H) costs 3$");
        check("$(H $(H) $() ${H} é$(H)", "$(H cart $() ${H} écart");
        let mut value = "a".repeat(100);
        for _ in 0..100 {
            value = expanded("$(V)$(V)", |_| Some(value.clone()));
        }
        assert!(value.len() < 10_000, "it ends: {}", value.len());
    }

    #[test]
    fn a_host_is_of_the_cluster_if_no_other_dns_knows_it() {
        let hosts = ["payments", "db.data.svc.cluster.local", "api.stripe.com", "localhost", "10.0.0.1", "Gateway"];
        assert_eq!(hosts.map(is_of_cluster), [true, true, false, false, false, false]);
    }
}
