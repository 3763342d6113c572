//! What the commands of promotion share: a policy with its chain, who writes, and what follows of what was written.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use firedrill_core::problem::Problem;
use firedrill_core::words::in_one_line;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use jiff::Timestamp;

use super::setting::RuleNames;
use crate::cli::{ProfileArg, Says, Writer};
use crate::failure::Failure;
use crate::home::Home;
use crate::ledger::{Bound, CLOCKS_APART, Chain, Entry, FOLDER, Hashes, Head, Key, Labelled, Ledger, WATCH, What, name_of};
use crate::load;
use crate::output::Output;
use crate::promotion::again::decide_again;
use crate::promotion::bake::{self, Bake};
use crate::promotion::demotion::{self, Due, ITSELF};
use crate::promotion::evidence::{Evidence, Question, WATCHER, changed};
use crate::promotion::heard::Heard;
use crate::promotion::needs::{Need, needs};
use crate::promotion::profile::{ProfileName, Promotions, same_person};
use crate::promotion::standing::{Promoted, Standing};
use crate::watch::observations;

/// A project and the folder of its ledger.
pub(super) struct Books {
    pub home: Home,
    pub folder: PathBuf,
    /// What the watcher was told, and how long its chain was before that was read: for many policies it is read once.
    heard: RefCell<Option<(u64, Rc<Heard>)>>,
}

/// A policy with what its chain says of it.
pub(super) struct Subject {
    pub policy: Arc<Policy>,
    /// What finds it: a path or a name.
    pub argument: String,
    pub hashes: Hashes,
    pub chain: Chain,
    /// Where this version stands.
    pub standing: Standing,
    /// Where the policy stands, whichever version was promoted.
    pub promoted: Standing,
    pub evidence: Evidence,
}

/// What a subject's next stage asks for.
pub(super) struct Outlook {
    pub profile: ProfileName,
    /// What the evidence has of it; nothing for a draft.
    pub needs: Vec<Need>,
    /// What the project asks less of than its profile.
    pub weakened: Vec<String>,
    pub bake: Option<Bake>,
    pub due: Option<Due>,
}

impl Subject {
    /// Why this version may do less than the one that was promoted; `None`: it may do as much.
    pub fn is_another(&self) -> Option<String> {
        let promoted = self.promoted.promoted.as_ref().filter(|_| self.standing.stage < self.promoted.stage)?;
        Some(self.is_not(promoted))
    }

    /// That another version was promoted to where this one stands: to look on, in dry-run, every version may. `None`: it was this one, or none.
    pub fn looks_on(&self) -> Option<String> {
        let is_own = |hashes: &Hashes| *hashes == self.hashes || self.standing.promoted.is_some();
        let promoted = self.promoted.promoted.as_ref().filter(|own| self.standing.stage == self.promoted.stage && !is_own(&own.hashes))?;
        Some(self.is_not(promoted))
    }

    fn is_not(&self, promoted: &Promoted) -> String {
        let changed = changed(&promoted.hashes, &self.hashes).unwrap_or_else(|| "it was not promoted itself".to_owned());
        let stage = self.promoted.stage.word();
        // Where it was taken back, whoever did that put it where it is.
        let taken_back = self.promoted.since.zip(self.promoted.by.as_ref()).filter(|_| !self.promoted.is_promoted);
        let (came, at, by) = match taken_back {
            Some((at, by)) => ("taken back", at, by),
            None => ("promoted", promoted.at, &promoted.by),
        };
        format!("this is not the version that was {came} to {stage} ({}, by {by}): {changed}", at.strftime("%Y-%m-%d"))
    }
}

impl Books {
    /// Those of the project here.
    pub fn here() -> Result<Self, Failure> {
        let home = Home::here()?;
        if home.project.is_none() {
            return Err(Failure::argument(
                "there is no firedrill.yaml here: promotions belong to a project",
                "change into its folder, or write one with `firedrill init`",
            ));
        }
        let folder = home.base.join(FOLDER);
        Ok(Self { home, folder, heard: RefCell::new(None) })
    }

    /// What the project says of promotions.
    pub fn promotions(&self) -> Promotions {
        self.home.project.as_ref().map(|project| project.promotions.clone()).unwrap_or_default()
    }

    /// The names of the project's policies.
    pub fn policies(&self) -> Result<Vec<String>, Failure> {
        Ok(self.home.policies()?.policies.iter().map(|policy| policy.name.to_string()).collect())
    }

    /// A policy by name or file, with what its chain says.
    pub fn subject(&self, named: &str) -> Result<Subject, Failure> {
        let answer = self.home.answer(&[named.to_owned()])?;
        let [policy] = answer.policies.as_slice() else {
            return Err(Failure::argument(format!("`{named}` is not one policy"), "name one"));
        };
        let policy = Arc::clone(policy);
        let rules = RuleNames::chosen(&self.home, &[])?.load(&[])?;
        let bound = Bound::of(&policy, &rules.set);
        let chain = Ledger::read(&self.folder, &name_of(&policy.name)?)?.sound()?.possible()?;
        let chain = self.promotions().believed(chain);
        let heard = self.heard()?;
        let again = decide_again(&chain, heard.as_deref(), &policy, &bound);
        let hashes = bound.hashes;
        let question = Question { chain: &chain, heard: heard.as_deref(), hashes: &hashes, again: &again, now: Timestamp::now() };
        let evidence = Evidence::of(question);
        let (standing, promoted) = (Standing::of_version(&chain, &hashes), Standing::of(&chain));
        Ok(Subject { policy, argument: named.to_owned(), hashes, chain, standing, promoted, evidence })
    }

    /// What a watcher was told; `None`: nobody has watched here. It is no older than a chain that was read before: what was told stands there before anything is
    /// decided of it.
    fn heard(&self) -> Result<Option<Rc<Heard>>, Failure> {
        let name = name_of(WATCH)?;
        let length = Ledger::length(&self.folder, &name)?;
        let known = self.heard.borrow().as_ref().filter(|(before, _)| *before == length).map(|(_, heard)| Rc::clone(heard));
        if known.is_some() {
            return Ok(known);
        }
        let watch = Ledger::read(&self.folder, &name)?.sound()?;
        if watch.entries.is_empty() {
            return Ok(None);
        }
        let heard = Rc::new(Heard::of(observations(&watch)?, &watch).with_rehearsals(self.promotions().do_rehearsals_count));
        *self.heard.borrow_mut() = Some((length, Rc::clone(&heard)));
        Ok(Some(heard))
    }

    /// Adds entries to a chain, and what follows of them by itself; says what that is.
    pub fn write(&self, chain: &str, whats: Vec<What>, (writer, output): (&Writer, Output)) -> Result<(), Failure> {
        self.write_after(chain, None, whats, (writer, output))
    }

    /// The same, if the chain still ends as it did when it was looked at; `None`: however it does.
    pub fn write_after(
        &self,
        chain: &str,
        seen: Option<&[Head]>,
        whats: Vec<What>,
        (writer, output): (&Writer, Output),
    ) -> Result<(), Failure> {
        let name = name_of(chain)?;
        let key = self.key(writer)?;
        // To take a policy back must never fail for want of a key.
        if key.is_none() && !whats.iter().all(|what| matches!(what, What::Demotion { .. })) {
            self.needs_no_key(writer)?;
        }
        let (ledger, recovery) = Ledger::open(&self.folder, &name)?;
        if seen.is_some_and(|seen| !ledger.is_at(seen)) {
            let message = format!("something was written to the ledger of {chain} meanwhile, which may change what its evidence is");
            return Err(Failure::argument(message, "do it again: it is judged by what stands there now"));
        }
        recovery.told().iter().for_each(|told| output.talk(&format!("warning: ledger of {chain}: {told}")));
        let latest = ledger.entries().iter().map(|own| own.entry.at).max();
        let is_promotion = whats.iter().any(|what| matches!(what, What::Promotion { .. }));
        let heard = if is_promotion { Ledger::read(&self.folder, &name_of(WATCH)?)?.latest() } else { None };
        let (at, told) = no_sooner(Timestamp::now(), latest.max(heard));
        if let Some(told) = told {
            output.talk(&format!("warning: ledger of {chain}: {told}"));
        }
        let entries = whats.into_iter().map(|what| Entry { at, by: writer.by.clone(), what }).collect();
        let mut ledger = ledger.signed_by(key);
        ledger.append(entries)?;
        drop(ledger);
        self.settle(chain, output)
    }

    /// Demotes a policy if what stands in its chain asks for it, and says so.
    pub fn settle(&self, chain: &str, output: Output) -> Result<(), Failure> {
        let name = name_of(chain)?;
        let promotions = self.promotions();
        if self.due(&promotions.believed(Ledger::read(&self.folder, &name)?.sound()?)).is_none() {
            return Ok(());
        }
        // Whoever came first has done it: only what is due while nobody else can write counts.
        let (mut ledger, _) = Ledger::open(&self.folder, &name)?;
        let believed = promotions.believed(ledger.chain());
        let Some(due) = self.due(&believed) else { return Ok(()) };
        let from = Standing::of(&believed).stage;
        let told = format!("{chain} is demoted from {} to {}: {}", from.word(), due.to.word(), due.because);
        let what = What::Demotion { from, to: due.to, because: due.because, automatic: true };
        ledger.append(vec![Entry { at: Timestamp::now(), by: ITSELF.to_owned(), what }])?;
        output.talk(&in_one_line(&told));
        Ok(())
    }

    /// The demotion that is due by a chain, as far as it is to be believed.
    fn due(&self, chain: &Chain) -> Option<Due> {
        demotion::due_now(chain, &self.promotions(), Timestamp::now())
    }

    /// What the next stage asks for.
    pub fn outlook(&self, subject: &Subject, profile: Option<ProfileArg>) -> Outlook {
        let promotions = self.promotions();
        let profile = profile.map(profile_of).or(promotions.profile).unwrap_or_default();
        let asked = promotions.asked(subject.standing.stage, profile);
        let (needs, weakened) = asked.map_or_else(Default::default, |(asked, weakened)| (needs(&subject.evidence, &asked), weakened));
        let weakened = promotions.is_less_than_named(profile).into_iter().chain(promotions.counts_rehearsals()).chain(weakened).collect();
        let bake = bake::of_version(&subject.chain, &subject.hashes, Timestamp::now());
        Outlook { profile, needs, weakened, bake, due: self.due(&subject.chain) }
    }

    /// That a name is that of a person whom the project knows.
    pub fn person(&self, by: &str) -> Result<Promotions, Failure> {
        plain_words("--by", by)?;
        if [WATCHER, ITSELF].contains(&same_person(by).as_str()) {
            return Err(Failure::argument(format!("`{by}` is nobody: what it writes it writes itself"), "name yourself with `--by NAME`"));
        }
        let promotions = self.promotions();
        promotions.knows(by)?;
        Ok(promotions)
    }

    /// The key that a writer signs with, if any; one that `people:` gives them must be that.
    pub fn key(&self, writer: &Writer) -> Result<Option<Key>, Failure> {
        let promotions = self.person(&writer.by)?;
        let own = promotions.person(&writer.by).filter(|person| person.has_key());
        let named = writer.key.clone().or_else(|| std::env::var_os("FIREDRILL_KEY").filter(|value| !value.is_empty()).map(PathBuf::from));
        let Some(path) = named else { return Ok(None) };
        let shown = path.display().to_string();
        let key = Key::read(&load::read_file(&path)?.text);
        let key = key.map_err(|error| {
            let problem = Problem::in_file("FD0822", &shown, format!("{shown}: {error}"));
            vec![problem.remedy("make one with `openssl genpkey -algorithm ed25519 -out FILE`")]
        })?;
        if own.is_some_and(|own| !own.signs_with(&key.public(), Timestamp::now())) {
            let message = format!("{shown} is not the key that `people:` of firedrill.yaml gives `{}`", writer.by);
            return Err(vec![Problem::in_file("FD0823", &shown, message).remedy("sign with that one, or change what stands there")].into());
        }
        Ok(Some(key))
    }

    /// That a writer may write without a key.
    ///
    /// # Errors
    /// `people:` gives them one: what is not signed by it would count for nothing.
    pub fn needs_no_key(&self, writer: &Writer) -> Result<(), Failure> {
        if self.promotions().person(&writer.by).is_none_or(|person| !person.must_sign(Timestamp::now())) {
            return Ok(());
        }
        let message = format!("`people:` of firedrill.yaml gives `{}` a key, and what is not signed by it does not count", writer.by);
        let remedy = "sign with it: `--key FILE`, or name the file in FIREDRILL_KEY";
        Err(vec![Problem::in_file("FD0814", "the command line", message).remedy(remedy)].into())
    }

    /// How many entries are in the name of people who have a key, and not signed by it.
    pub fn unverified(&self, chain: &Chain) -> usize {
        self.promotions().unverified(chain).len()
    }

    /// Who has written in a chain and is not among the people, each with how many entries.
    pub fn strangers(&self, chain: &Chain) -> BTreeMap<String, usize> {
        self.promotions().strangers(chain)
    }
}

/// The time of a new entry: now, and no sooner than the last one, because days would be counted that never were; and what is to be said of that. Clocks of two
/// machines may be a little apart.
fn no_sooner(now: Timestamp, latest: Option<Timestamp>) -> (Timestamp, Option<String>) {
    let Some(latest) = latest.filter(|latest| *latest > now) else { return (now, None) };
    let is_far = now.saturating_add(CLOCKS_APART).is_ok_and(|now| now < latest);
    let told = || {
        format!(
            "the clock says {now}, and what stands there already is as late as {latest}, which is written down; no day counts before that. hint: set the clock right; if it is, one that was ahead has written there"
        )
    };
    (latest, is_far.then(told))
}

/// That what somebody says of something can be shown in one line.
///
/// # Errors
/// It is empty, or has characters in it that nobody sees.
pub(super) fn plain_words(option: &str, text: &str) -> Result<(), Failure> {
    let (message, remedy) = if text.trim().is_empty() {
        (format!("`{option}` is empty"), "say something, such as a name")
    } else if text.chars().any(char::is_control) {
        (format!("`{option} {}` has control characters in it", text.escape_debug()), "write it in one line, without tabs")
    } else if text.trim() != text {
        (format!("`{option} '{text}'` begins or ends with a space"), "leave it out")
    } else {
        return Ok(());
    };
    Err(vec![Problem::in_file("FD0817", "the command line", message).remedy(remedy)].into())
}

fn profile_of(given: ProfileArg) -> ProfileName {
    match given {
        ProfileArg::Small => ProfileName::Small,
        ProfileArg::Large => ProfileName::Large,
    }
}

/// What people say, as the ledger has it.
pub(super) const fn labelled(says: Says) -> Labelled {
    match says {
        Says::Right => Labelled::Right,
        Says::Wrong => Labelled::Wrong,
        Says::Redundant => Labelled::Redundant,
        Says::Harmful => Labelled::Harmful,
    }
}

/// Whether a stage asks that somebody else than the author promotes to it.
pub(super) fn needs_another(stage: Stage) -> bool {
    stage >= Stage::Limited
}

/// Splits `POLICY#NUMBER`.
pub(super) fn numbered(text: &str) -> Option<(&str, u64)> {
    let (policy, number) = text.rsplit_once('#')?;
    Some((policy, number.parse().ok()?)).filter(|(policy, _)| !policy.is_empty())
}

/// Needs as lines, what is missing with the way to it.
pub(super) fn lines(needs: &[Need]) -> String {
    let line = |need: &Need| match &need.way {
        None => format!("  {} {}: {}\n", if need.is_remark() { "·" } else { "✓" }, need.what, in_one_line(&need.told)),
        Some(way) => format!("  ✗ {}: {}\n    → {}\n", need.what, in_one_line(&need.told), in_one_line(way)),
    };
    needs.iter().map(line).collect()
}

/// The folder that a file is in, and its name.
pub(super) fn folder_and_name(path: &Path) -> Result<(&Path, String), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Failure::argument(format!("{} is no file", path.display()), "name a file to write"))?;
    Ok((folder, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_before_what_stands_there_already() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-01-05T09:00:00Z");
        assert_eq!(no_sooner(now, None), (now, None));
        assert_eq!(no_sooner(now, Some(at("2026-01-04T09:00:00Z"))), (now, None));
        // Another machine's clock is a little ahead.
        assert_eq!(no_sooner(now, Some(at("2026-01-05T09:04:59Z"))), (at("2026-01-05T09:04:59Z"), None));
        let (later, told) = no_sooner(now, Some(at("2026-01-05T09:05:01Z")));
        assert_eq!(later, at("2026-01-05T09:05:01Z"));
        assert!(told.is_some_and(|told| told.contains("no day counts before that")));
    }
}
