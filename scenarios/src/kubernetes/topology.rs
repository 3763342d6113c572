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
                Setting::Known { .. } => false,
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
            each_setting(cluster, workload, &mut |name, value| {
                let known = (hosts, &cluster.unplaced);
                for (host, is_sure) in addresses(name, value) {
                    if self::known(host, &workload.namespace, known).is_some() {
                        continue;
                    }
                    if is_sure && is_of_cluster(host) {
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

/// Every name and value of a workload's environment and arguments, as far as the files show them.
fn each_setting(cluster: &Cluster, workload: &Workload, look: &mut dyn FnMut(&str, &str)) {
    let map = |name: &Name| cluster.maps.get(&(workload.namespace.clone(), name.clone()));
    for setting in &workload.pod.settings {
        match setting {
            Setting::Known { name, value } => look(name, value),
            Setting::Entry { name, map: of, key } => {
                if let Some(value) = map(of).and_then(|entries| entries.get(key)) {
                    look(name, value);
                }
            }
            Setting::All(of) => map(of).into_iter().flatten().for_each(|(name, value)| look(name, value)),
            Setting::Secret => {}
        }
    }
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
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = value[from..].find(is_part).map(|at| from + at) {
        let end = value[start..].find(|c| !is_part(c)).map_or(value.len(), |at| start + at);
        from = end;
        let host = value[start..end].trim_matches('.');
        let has_port = value[end..].strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let is_user = is_user(value, (start, end), has_port);
        let is_address_itself = value[..start].ends_with("//") || value[..start].ends_with('@');
        let is_host = !is_user && (is_address_itself || has_port);
        let is_whole = is_address && start == 0 && end == value.trim_end().len();
        if is_host || is_whole || host.contains(".svc") {
            // A word and a number may be anything where nothing says that it is an address.
            let is_sure = host.contains(".svc") || !is_user && (is_address_itself || has_port && is_address);
            found.push((host, is_sure));
        }
    }
    found
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
    }

    #[test]
    fn a_host_is_of_the_cluster_if_no_other_dns_knows_it() {
        let hosts = ["payments", "db.data.svc.cluster.local", "api.stripe.com", "localhost", "10.0.0.1", "Gateway"];
        assert_eq!(hosts.map(is_of_cluster), [true, true, false, false, false, false]);
    }
}
