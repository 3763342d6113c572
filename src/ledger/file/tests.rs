//! What the ledger promises: whatever a crash, other writers, an editor or git does to a chain, nothing is lost and everything is named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::thread;

use firedrill_policies::guard::stage::Stage;
use proptest::prelude::*;

use super::super::entry::{Hashes, Labelled};
use super::super::key::tests::PRIVATE;
use super::*;

fn entry(word: &str) -> Entry {
    let what = What::Label { event: format!("blake3:{word}"), says: Labelled::Right, cause: Some("caché \u{1f525} \"x\"".to_owned()) };
    Entry { at: "2026-01-05T00:00:00Z".parse().unwrap(), by: "ada".to_owned(), what }
}

fn entries(count: usize) -> Vec<Entry> {
    (0..count).map(|index| entry(&index.to_string())).collect()
}

fn chain() -> Name {
    Name::new("restart")
}

fn of(recorded: &[Recorded]) -> Vec<Entry> {
    recorded.iter().map(|own| own.entry.clone()).collect()
}

/// A folder with a chain of so many entries.
fn folder_with(count: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(folder.path(), &chain()).unwrap();
    for own in entries(count) {
        ledger.append(vec![own]).unwrap();
    }
    let path = folder.path().join("restart.jsonl");
    (folder, path)
}

fn opened(folder: &Path) -> (Ledger, Recovery) {
    Ledger::open(folder, &chain()).unwrap_or_else(|failure| panic!("{failure:?}"))
}

fn codes(failure: Failure) -> Vec<&'static str> {
    match failure {
        Failure::Input(problems) => problems.iter().map(|problem| problem.code).collect(),
        Failure::Machine(error) => panic!("{error:#}"),
    }
}

/// What is found in these lines, a sentence each.
fn found(lines: &[&str]) -> Vec<String> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Chain::of_bytes(&chain(), "x", text.as_bytes()).findings.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_added_is_there_when_it_is_opened_again() {
    let (folder, path) = folder_with(3);
    let (mut ledger, recovery) = opened(folder.path());
    assert_eq!((of(ledger.entries()), recovery), (entries(3), Recovery::default()));
    ledger.append(vec![entry("x"), entry("y")]).unwrap();
    assert_eq!(ledger.entries().iter().map(|own| (own.number, own.line)).collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    drop(ledger);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5);
    assert!(Ledger::read(folder.path(), &chain()).unwrap().sound().is_ok());
    assert_eq!(Ledger::chains(folder.path()).unwrap(), [chain()]);
}

#[test]
fn a_chain_that_is_not_there_has_no_entries_and_is_not_made_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("ledger");
    assert!(Ledger::read(&none, &chain()).unwrap().entries.is_empty());
    assert!(Ledger::chains(&none).unwrap().is_empty());
    assert!(!none.exists());
}

#[test]
fn a_crash_at_every_byte_of_a_write_loses_nothing_that_was_acknowledged() {
    let (folder, path) = folder_with(2);
    let before = fs::read(&path).unwrap().len();
    opened(folder.path()).0.append(vec![entry("x"), entry("y")]).unwrap();
    let bytes = fs::read(&path).unwrap();
    let head = folder.path().join("restart.head");
    for cut in before..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        // A crash before the write was over is one before anything was noted of it.
        fs::remove_file(&head).ok();
        let (mut ledger, recovery) = opened(folder.path());
        let kept = ledger.entries().len();
        assert_eq!(of(ledger.entries())[..2], entries(2), "cut at {cut}");
        let whole = bytes[before..cut].iter().filter(|byte| **byte == b'\n').count() + usize::from(recovery.is_completed);
        assert_eq!(kept, 2 + whole, "cut at {cut}");
        let is_between_lines = cut == before || bytes[cut - 1] == b'\n';
        assert_eq!(recovery.told().is_empty(), is_between_lines, "cut at {cut}: {recovery:?}");
        ledger.append(vec![entry("z")]).unwrap();
        drop(ledger);
        let after = Ledger::read(folder.path(), &chain()).unwrap().sound().unwrap();
        assert_eq!((after.entries.len(), after.torn_bytes), (kept + 1, 0));
    }
    assert!(fs::read(folder.path().join("restart.torn")).unwrap().starts_with(b"{"), "what was cut off is kept");
}

#[test]
fn a_reader_sees_a_write_under_way_as_such_and_touches_nothing() {
    let (folder, path) = folder_with(2);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    fs::remove_file(folder.path().join("restart.head")).unwrap();
    let read = Ledger::read(folder.path(), &chain()).unwrap().sound().unwrap();
    assert_eq!(read.entries.len(), 1);
    assert!(read.torn_bytes > 0 && read.notes()[0].contains("cut off, or is under way"), "{:?}", read.notes());
    assert_eq!(fs::read(&path).unwrap().len(), bytes.len() - 5);
}

#[test]
fn threads_that_write_at_once_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (threads, each) = (8, 12);
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        for number in 0..threads {
            let (barrier, folder) = (&barrier, folder.path());
            scope.spawn(move || {
                barrier.wait();
                let mut place = None;
                for index in 0..each {
                    // Every other one from where it left the chain, and every other one from the start.
                    let (mut ledger, _) = match place.take().filter(|_| index % 2 == 0) {
                        Some(place) => Ledger::resume(&place).unwrap(),
                        None => Ledger::open(folder, &chain()).unwrap(),
                    };
                    ledger.append(vec![entry(&format!("{number}-{index}")), entry("and")]).unwrap();
                    place = Some(ledger.release());
                }
            });
        }
    });
    let all = Ledger::read(folder.path(), &chain()).unwrap().sound().unwrap();
    assert_eq!((all.entries.len(), all.forks.len()), (2 * threads * each, 0));
    let pairs = all.entries.chunks(2).all(|pair| pair[1].entry == entry("and"));
    assert!(pairs, "what is given together stands together");
}

/// What another process does of the next test; by itself it does nothing.
#[test]
fn a_process_that_writes() {
    let Some(folder) = std::env::var_os("FIREDRILL_LEDGER_OF_A_TEST") else { return };
    for index in 0..10 {
        let (mut ledger, _) = opened(Path::new(&folder));
        ledger.append(vec![entry(&format!("{}-{index}", std::process::id()))]).unwrap();
    }
}

#[test]
fn processes_that_write_at_once_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "ledger::file::tests::a_process_that_writes"]).env("FIREDRILL_LEDGER_OF_A_TEST", folder.path());
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut children: Vec<_> = (0..4).map(|_| start()).collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    let all = Ledger::read(folder.path(), &chain()).unwrap().sound().unwrap();
    assert_eq!((all.entries.len(), all.forks.len()), (40, 0));
}

#[test]
fn a_file_that_something_else_changed_is_not_written_to() {
    let (folder, path) = folder_with(2);
    let (mut ledger, _) = opened(folder.path());
    let copy = fs::read(&path).unwrap();
    // As git does it: another file takes its place.
    fs::remove_file(&path).unwrap();
    fs::write(&path, &copy).unwrap();
    assert_eq!(codes(ledger.append(vec![entry("x")]).unwrap_err()), ["FD0812"]);
    assert_eq!(fs::read(&path).unwrap(), copy);
    drop(ledger);
    let (mut ledger, _) = opened(folder.path());
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap();
    assert_eq!(codes(ledger.append(vec![entry("x")]).unwrap_err()), ["FD0812"]);
}

#[test]
fn a_chain_goes_on_from_where_it_was_left() {
    let (folder, path) = folder_with(2);
    let place = opened(folder.path()).0.release();
    opened(folder.path()).0.append(vec![entry("other")]).unwrap();
    let (mut ledger, _) = Ledger::resume(&place).unwrap();
    assert_eq!(of(ledger.entries()), [entry("other")], "only what is new");
    ledger.append(vec![entry("own")]).unwrap();
    assert_eq!(ledger.entries().last().unwrap().line, 4);
    let place = ledger.release();
    // A line before the place is another one: everything is read again, and refused.
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("right", "wrong", 4)).unwrap();
    assert_eq!(codes(Ledger::resume(&place).unwrap_err()).len(), 4);
    fs::write(&path, text).unwrap();
    assert!(Ledger::resume(&place).unwrap().0.forget().is_empty());
}

#[test]
fn an_end_that_is_gone_is_noticed_where_it_was_written() {
    let (folder, path) = folder_with(3);
    let text = fs::read_to_string(&path).unwrap();
    let shorter: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&path, shorter).unwrap();
    assert_eq!(codes(Ledger::open(folder.path(), &chain()).unwrap_err()), ["FD0808"]);
    fs::write(&path, "").unwrap();
    assert_eq!(codes(Ledger::open(folder.path(), &chain()).unwrap_err()), ["FD0808"]);
    fs::remove_file(folder.path().join("restart.head")).unwrap();
    assert!(Ledger::open(folder.path(), &chain()).is_ok());
}

#[test]
fn what_is_no_note_of_an_end_is_named_and_what_a_crash_left_of_one_is_none() {
    let (folder, path) = folder_with(3);
    let note = path.with_extension("head");
    let whole = fs::read_to_string(&note).unwrap();
    for kept in [&b"nonsense\n"[..], b"3 blake3:zz\n", b"\xff\xfe", b"3", b""].into_iter().chain([whole.as_bytes(), &[0; 70]]) {
        fs::write(&note, kept).unwrap();
        let is_damaged = matches!(kept.first(), Some(b'n' | 0xff)) || kept.ends_with(b"zz\n");
        let codes: Vec<&str> = Ledger::read(folder.path(), &chain()).unwrap().findings.iter().map(super::Finding::code).collect();
        assert_eq!(codes, if is_damaged { vec!["FD0894"] } else { vec![] }, "{kept:?}");
        assert_eq!(Ledger::open(folder.path(), &chain()).is_err(), is_damaged);
    }
    (0..whole.len()).for_each(|length| {
        fs::write(&note, &whole[..length]).unwrap();
        assert!(Ledger::read(folder.path(), &chain()).unwrap().findings.is_empty(), "{length}");
    });
}

#[test]
fn what_is_written_while_somebody_reads_is_no_end_that_is_gone() {
    let (folder, _) = folder_with(2);
    let write = &mut || {
        let (mut ledger, _) = opened(folder.path());
        ledger.append(entries(1)).unwrap_or_else(|failure| panic!("{failure:?}"));
    };
    let read = Ledger::read_while(folder.path(), &chain(), write).unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!((read.findings, read.entries.len()), (vec![], 3));
}

#[test]
fn two_branches_are_told_and_joined_by_an_entry_that_names_both_heads() {
    let (folder, path) = folder_with(2);
    let common = fs::read_to_string(&path).unwrap();
    let branch = |words: &[&str]| {
        fs::write(&path, &common).unwrap();
        fs::remove_file(folder.path().join("restart.head")).ok();
        for word in words {
            opened(folder.path()).0.append(vec![entry(word)]).unwrap();
        }
        fs::read_to_string(&path).unwrap()[common.len()..].to_owned()
    };
    let (one, other) = (branch(&["a", "b"]), branch(&["c"]));
    // As `merge=union` leaves it.
    fs::write(&path, format!("{common}{one}{other}")).unwrap();
    let chain_read = Ledger::read(folder.path(), &chain()).unwrap().sound().unwrap();
    assert_eq!(chain_read.notes(), ["forked: lines 3 and 5 both follow entry 2", "2 branches are open; the next entry joins them"]);
    let (mut ledger, recovery) = opened(folder.path());
    assert_eq!(recovery.forks.len(), 1);
    ledger.append(vec![entry("d")]).unwrap();
    let [.., merge, last] = ledger.entries() else { panic!("two entries") };
    let What::Merge { heads } = &merge.entry.what else { panic!("{merge:?}") };
    assert_eq!((heads.len(), merge.number, last.number), (2, 5, 6));
    drop(ledger);
    let (ledger, recovery) = opened(folder.path());
    assert_eq!((ledger.entries().len(), recovery), (7, Recovery::default()), "all of both branches, and it is one again");
    // As git leaves it where nobody told it to keep both.
    fs::write(&path, format!("{common}<<<<<<< HEAD\n{one}=======\n{other}>>>>>>> branch\n")).unwrap();
    fs::remove_file(folder.path().join("restart.head")).ok();
    drop(ledger);
    assert_eq!(codes(Ledger::open(folder.path(), &chain()).unwrap_err()), ["FD0804"; 3]);
}

#[test]
fn two_branches_that_both_began_a_chain_are_a_fork_too() {
    let (_one, path) = folder_with(1);
    let one = fs::read_to_string(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    opened(folder.path()).0.append(vec![entry("x")]).unwrap();
    let other = fs::read_to_string(folder.path().join("restart.jsonl")).unwrap();
    let both = Chain::of_bytes(&chain(), "x", format!("{one}{other}").as_bytes());
    assert_eq!((both.findings.len(), both.notes()[0].as_str()), (0, "forked: lines 1 and 2 are each the first entry"));
}

#[test]
fn a_chain_does_not_stand_for_another() {
    let (_folder, path) = folder_with(1);
    let text = fs::read(path).unwrap();
    let other = Chain::of_bytes(&Name::new("other"), "x", &text);
    assert!(matches!(other.findings[..], [Finding::Missing { number: 0, .. }]), "{:?}", other.findings);
}

#[test]
fn signed_entries_say_by_whom_and_the_others_show_as_unsigned() {
    let folder = tempfile::tempdir().unwrap();
    let key = Key::read(PRIVATE).unwrap();
    opened(folder.path()).0.append(vec![entry("unsigned")]).unwrap();
    opened(folder.path()).0.signed_by(Some(key.clone())).append(vec![entry("signed")]).unwrap();
    let read = Ledger::read(folder.path(), &chain()).unwrap().sound().unwrap();
    assert_eq!((read.unsigned(), &read.entries[1].signed), (1, &super::super::entry::Signed::By(key.public())));
    let path = folder.path().join("restart.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find(",\"signature\"").unwrap();
    fs::write(&path, format!("{}}}\n", &text[..at])).unwrap();
    assert_eq!(codes(Ledger::open(folder.path(), &chain()).unwrap_err()), ["FD0807"]);
}

#[test]
fn what_is_too_long_or_has_no_name_is_refused() {
    let (folder, path) = folder_with(1);
    let before = fs::read(&path).unwrap();
    let long = Entry { by: "a".repeat(MOST_BYTES), ..entry("x") };
    assert_eq!(codes(opened(folder.path()).0.append(vec![entry("y"), long]).unwrap_err()), ["FD0811"]);
    assert_eq!(fs::read(&path).unwrap(), before, "all or nothing");
    for name in ["", "a/b", "..", ".x", "ä", "a b"] {
        assert_eq!(codes(name_of(name).unwrap_err()), ["FD0810"], "{name}");
    }
}

#[test]
fn what_is_no_entry_is_named() {
    let (_folder, path) = folder_with(1);
    let text = fs::read_to_string(path).unwrap();
    let first = text.trim_end();
    assert_eq!(found(&["{}"]), ["line 1 cannot be read: it has no hash at its end"]);
    assert_eq!(found(&[first, ""]), ["line 2 cannot be read: it does not end as one"]);
    assert_eq!(found(&[first, first]), ["entry 1 stands in line 2 again"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_altered_entry_is_named_and_nothing_else(altered in 0_usize..6, at in any::<proptest::sample::Index>(), digit in any::<bool>()) {
        let (_folder, path) = folder_with(6);
        let text = fs::read_to_string(path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let line = &mut lines[altered];
        // Any byte of the line, its hash included; in half of the cases one of the hash itself.
        let from = if digit { line.len() - 60 } else { 0 };
        let at = from + at.index(line.len() - from);
        prop_assume!(line.is_char_boundary(at) && line.is_char_boundary(at + 1));
        let other = if &line[at..=at] == "0" { "1" } else { "0" };
        line.replace_range(at..=at, other);
        let told = found(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert!(!told.is_empty());
        prop_assert!(told[0].contains(&format!("line {})", altered + 1)) || told[0].contains(&format!("line {} ", altered + 1)), "{told:?}");
        // Where the braces or the hash's own key are gone it cannot be told what others follow, and that is told as well.
        prop_assert!(told.len() <= 2, "{told:?}");
    }

    #[test]
    fn a_dropped_entry_is_named(dropped in 0_usize..5) {
        let (_folder, path) = folder_with(6);
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().enumerate().filter(|(index, _)| *index != dropped).map(|(_, line)| line).collect();
        let told = found(&lines);
        prop_assert_eq!(told.len(), 1, "{:?}", &told);
        let expected = format!("entry {} (", dropped + 1);
        prop_assert!(told[0].starts_with(&expected) && told[0].contains("missing"), "{told:?}");
    }

    #[test]
    fn entries_out_of_order_are_named(order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let (_folder, path) = folder_with(6);
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let told = found(&order.iter().map(|index| lines[*index]).collect::<Vec<_>>());
        // Each entry that stands before the one that it follows, and no other.
        let mut expected: Vec<String> = Vec::new();
        for (line, index) in order.iter().enumerate() {
            if *index > 0 && order[line..].contains(&(index - 1)) {
                expected.push(format!("entry {} (line {}) stands before the one that it follows", index + 1, line + 1));
            }
        }
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn forks_lose_nothing(one in 1_usize..5, other in 1_usize..5, mixed in any::<u64>()) {
        let (folder, path) = folder_with(2);
        let common = fs::read_to_string(&path).unwrap();
        let branch = |count: usize, word: &str| -> Vec<String> {
            fs::write(&path, &common).unwrap();
            fs::remove_file(folder.path().join("restart.head")).ok();
            opened(folder.path()).0.append((0..count).map(|index| entry(&format!("{word}{index}"))).collect()).unwrap();
            fs::read_to_string(&path).unwrap()[common.len()..].lines().map(str::to_owned).collect()
        };
        let (mut one, mut other) = (branch(one, "a"), branch(other, "b"));
        let count = 2 + one.len() + other.len();
        let mut text = common.clone();
        let mut mixed = mixed;
        while !one.is_empty() || !other.is_empty() {
            let from = if other.is_empty() || (!one.is_empty() && mixed % 2 == 0) { &mut one } else { &mut other };
            text.push_str(&format!("{}\n", from.remove(0)));
            mixed /= 2;
        }
        fs::write(&path, text).unwrap();
        fs::remove_file(folder.path().join("restart.head")).ok();
        let (mut ledger, recovery) = opened(folder.path());
        prop_assert_eq!((ledger.entries().len(), recovery.forks.len()), (count, 1));
        ledger.append(vec![entry("joined")]).unwrap();
        drop(ledger);
        let chain = Ledger::read(folder.path(), &chain()).unwrap().sound().unwrap();
        prop_assert_eq!((chain.entries.len(), chain.heads.len()), (count + 2, 1));
    }
}

/// A chain that verifies.
fn sound(folder: &Path, name: &str) -> Chain {
    Ledger::read(folder, &Name::new(name)).unwrap().sound().unwrap_or_else(|failure| panic!("{failure:?}"))
}

#[test]
fn what_is_written_to_several_chains_is_waited_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..2 * SYNC_THREADS + 1).map(|number| format!("p{number}")).collect();
    let mut ledgers: Vec<Ledger> = names.iter().map(|name| Ledger::open(folder.path(), &Name::new(name)).unwrap().0).collect();
    for ledger in &mut ledgers {
        ledger.write(vec![entry("one")]).unwrap();
        ledger.write(vec![entry("two"), entry("three")]).unwrap();
        assert!(ledger.is_unsynced());
    }
    sync_all(ledgers.iter_mut().collect()).unwrap();
    assert!(!ledgers.iter().any(Ledger::is_unsynced));
    for name in &names {
        let chain = sound(folder.path(), name);
        assert_eq!(chain.entries.len(), 3);
        let head = fs::read_to_string(folder.path().join(format!("{name}.head"))).unwrap();
        assert_eq!(head, format!("3 {}\n", chain.entries[2].hash));
    }
    assert!(sync_all(Vec::new()).is_ok());
}

#[test]
fn a_chain_is_taken_up_where_it_was_left_however_long_its_last_line_is() {
    for length in [1, usize::try_from(USUAL_BYTES).unwrap(), MOST_BYTES / 2] {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, _) = Ledger::open(folder.path(), &Name::new("p")).unwrap();
        ledger.append(vec![entry("first"), entry(&"x".repeat(length))]).unwrap();
        let place = ledger.release();
        let mut file = fs::File::open(folder.path().join("p.jsonl")).unwrap();
        assert!(ends_with_head(&mut file, &place).unwrap(), "{length}");
        let (mut ledger, _) = Ledger::resume(&place).unwrap();
        assert!(ledger.entries().is_empty(), "nothing is read again");
        ledger.append(vec![entry("last")]).unwrap();
        assert_eq!(sound(folder.path(), "p").entries.len(), 3);
    }
}

/// A chain with two branches that say this of its first entry, each with the day on which it does; the lines of the first come first.
fn with_branches(branches: [&[(u32, Labelled)]; 2], after: Option<Labelled>) -> (Vec<String>, usize, Option<Labelled>) {
    let (folder, path) = folder_with(1);
    let event = sound(folder.path(), "restart").entries[0].hash.clone();
    let add = |day: u32, says: Labelled| {
        let what = What::Label { event: event.clone(), says, cause: None };
        fs::remove_file(folder.path().join("restart.head")).ok();
        opened(folder.path()).0.append(vec![Entry { at: at(day), what, ..entry("x") }]).unwrap();
    };
    let common = fs::read_to_string(&path).unwrap();
    let mut sides = Vec::new();
    for branch in branches {
        fs::write(&path, &common).unwrap();
        branch.iter().for_each(|(day, says)| add(*day, *says));
        sides.push(fs::read_to_string(&path).unwrap()[common.len()..].to_owned());
    }
    fs::write(&path, format!("{common}{}", sides.concat())).unwrap();
    if let Some(says) = after {
        add(20, says);
    }
    let text = fs::read_to_string(&path).unwrap();
    let chain = sound(folder.path(), "restart");
    let label = chain.labels().get(event.as_str()).copied();
    (text.lines().map(|line| format!("{line}\n")).collect(), sides[0].lines().count(), label)
}

fn at(day: u32) -> jiff::Timestamp {
    format!("2026-01-{day:02}T00:00:00Z").parse().unwrap()
}

#[test]
fn of_what_two_branches_say_of_one_event_the_worse_counts_until_it_is_said_anew() {
    use Labelled::{Harmful, Redundant, Right, Wrong};
    let label = |branches, after| with_branches(branches, after).2;
    assert_eq!(label([&[(6, Wrong)], &[(7, Right)]], None), Some(Wrong));
    assert_eq!(label([&[(7, Right)], &[(6, Wrong)]], None), Some(Wrong));
    assert_eq!(label([&[(6, Redundant)], &[(7, Right)]], None), Some(Redundant));
    assert_eq!(label([&[(6, Redundant)], &[(7, Wrong)]], None), Some(Wrong));
    assert_eq!(label([&[(6, Harmful)], &[(7, Wrong)]], None), Some(Harmful));
    // Within a branch the last word counts, as it does after both have become one.
    assert_eq!(label([&[(6, Harmful), (8, Redundant)], &[(7, Right)]], None), Some(Redundant));
    assert_eq!(label([&[(6, Wrong)], &[(7, Right)]], Some(Right)), Some(Right));
    assert_eq!(label([&[(6, Wrong), (8, Right)], &[]], None), Some(Right));
}

#[test]
fn the_order_of_two_branches_in_the_file_says_nothing() {
    use Labelled::{Right, Wrong};
    let days: [&[(u32, Labelled)]; 2] = [&[(7, Right), (9, Right)], &[(6, Wrong), (8, Right)]];
    let (lines, first, _) = with_branches(days, Some(Right));
    let (head, rest) = lines.split_at(1);
    let (one, rest) = rest.split_at(first);
    let (other, after) = rest.split_at(2);
    let read = |parts: &[&[String]]| {
        let chain = Chain::of_bytes(&chain(), "x", parts.concat().concat().as_bytes()).sound().unwrap();
        let order: Vec<(u64, String)> = chain.entries.iter().map(|own| (own.number, own.hash.clone())).collect();
        let since: Vec<u64> = chain.since(Some(&order[1].1)).map(|own| own.number).collect();
        (order, since, chain.labels().into_values().collect::<Vec<_>>())
    };
    let as_written = read(&[head, one, other, after]);
    // The branch that began sooner stands first, each whole; then the merge, and what follows.
    assert_eq!(as_written.0.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 2, 3, 4, 5]);
    assert_eq!(as_written.1, [3, 2, 3, 4, 5], "what another branch says is said since then too");
    assert_eq!(read(&[head, other, one, after]), as_written);
    assert_eq!(read(&[head, &one[..1], other, &one[1..], after]), as_written);
}

#[test]
fn what_nobody_can_have_said_is_named() {
    let (folder, _) = folder_with(0);
    let (mut ledger, _) = opened(folder.path());
    let decision = What::Violation { what: "something to speak of".to_owned() };
    ledger.append(vec![Entry { at: at(9), what: decision, ..entry("x") }]).unwrap();
    let event = ledger.entries()[0].hash.clone();
    let label = |day: u32, by: &str| {
        let what = What::Label { event: event.clone(), says: Labelled::Right, cause: None };
        Entry { at: at(day), by: by.to_owned(), what }
    };
    ledger.append(vec![label(8, "ada"), label(10, "watch"), label(10, "Firedrill"), label(9, "ada")]).unwrap();
    drop(ledger);
    let told: Vec<String> = sound(folder.path(), "restart").impossible().iter().map(ToString::to_string).collect();
    let expected = [
        "line 2 is impossible: entry 2: it is of 2026-01-08T00:00:00Z, and what it speaks of happened at 2026-01-09T00:00:00Z",
        "line 3 is impossible: entry 3: `watch` is nobody who could say what a decision was",
        "line 4 is impossible: entry 4: `Firedrill` is nobody who could say what a decision was",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_cannot_be_is_named_though_nothing_was_altered() {
    let (folder, _) = folder_with(0);
    let stage = |from: Stage, to: Stage| What::Promotion {
        from,
        to,
        profile: "small".to_owned(),
        hashes: Hashes::default(),
        evidence: serde_json::Value::Null,
        weakened: Vec::new(),
    };
    let whats = [
        stage(Stage::Draft, Stage::DryRun),
        stage(Stage::DryRun, Stage::Shadow),
        stage(Stage::Limited, Stage::Guarded),
        stage(Stage::Draft, Stage::Full),
        What::Label { event: "blake3:0123".to_owned(), says: Labelled::Right, cause: None },
    ];
    let (mut ledger, _) = opened(folder.path());
    ledger.append(whats.into_iter().map(|what| Entry { what, ..entry("x") }).collect()).unwrap_or_else(|failure| panic!("{failure:?}"));
    let read = Ledger::read(folder.path(), &chain()).unwrap_or_else(|failure| panic!("{failure:?}"));
    assert!(read.findings.is_empty(), "it is what was written: {:?}", read.findings);
    let told: Vec<String> = read.impossible().iter().map(ToString::to_string).collect();
    let expected = [
        "line 3 is impossible: entry 3: it promotes from limited to guarded, and the policy was at the stage shadow",
        "line 4 is impossible: entry 4: it promotes from draft to full, and stages are entered one at a time",
        "line 5 is impossible: entry 5: it speaks of blake3:0123, which is not there",
    ];
    assert_eq!(told, expected);
    assert_eq!(codes(read.possible().unwrap_err()), ["FD0806"; 3]);
    // A name that would be several lines where it is shown.
    let (by, what) = ("ada\n  ✓ signed\u{1b}[8m".to_owned(), What::Violation { what: "x".to_owned() });
    ledger.append(vec![Entry { by, what, ..entry("x") }]).unwrap_or_else(|failure| panic!("{failure:?}"));
    let read = Ledger::read(folder.path(), &chain()).unwrap_or_else(|failure| panic!("{failure:?}"));
    let told = read.impossible().last().map(ToString::to_string);
    let expected = "line 6 is impossible: entry 6: `ada\\n  ✓ signed\\u{1b}[8m` is no name of anybody: it has characters that nobody sees";
    assert_eq!(told.as_deref(), Some(expected));
}

/// A label of one of a few events.
fn label(event: usize, says: Labelled) -> Entry {
    Entry { what: What::Label { event: format!("blake3:{event}"), says, cause: None }, ..entry("x") }
}

/// A chain that began with some entries, went on for itself on two branches, became one again, and went on.
fn forked([base, one, other, after]: [Vec<Entry>; 4]) -> Chain {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, entries: Vec<Entry>| {
        let folder = folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("restart.jsonl"), text).unwrap();
        opened(&folder).0.append(entries).unwrap();
        fs::read_to_string(folder.join("restart.jsonl")).unwrap()
    };
    let base = write("base", "", base);
    // Otherwise both could write the same.
    let other = other.into_iter().map(|own| Entry { by: "bob".to_owned(), ..own }).collect();
    let (one, other) = (write("one", &base, one), write("other", &base, other));
    let both = write("both", &(one + &other[base.len()..]), after);
    Chain::of_bytes(&chain(), "x", both.as_bytes()).sound().unwrap()
}

/// By the hash of each entry all that it follows, as its lines say it.
fn followed(chain: &Chain) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for own in &chain.entries {
        let heads: &[String] = if let What::Merge { heads } = &own.entry.what { heads } else { &[] };
        let mut before = BTreeSet::new();
        for hash in heads.iter().map(String::as_str).chain([own.previous.as_str()]) {
            before.insert(hash);
            before.extend(all.get(hash).into_iter().flatten());
        }
        all.insert(&own.hash, before);
    }
    all
}

proptest! {
    /// As it is defined: what counts is what nothing follows that is said of the same, and since an entry is what is neither it nor what it follows.
    #[test]
    fn what_is_said_last_and_since_hangs_on_what_follows_what(
        parts in prop::array::uniform4(prop::collection::vec((0_usize..3, prop::sample::select(vec![Labelled::Right, Labelled::Wrong])), 1..6)),
        since in any::<prop::sample::Index>(),
    ) {
        let chain = forked(parts.map(|part| part.into_iter().map(|(event, says)| label(event, says)).collect()));
        let followed = followed(&chain);
        let hashes = chain.said_last(|what| if let What::Label { event, .. } = what { Some((event.as_str(), ())) } else { None });
        for (event, said) in hashes {
            let is_of = |own: &&Recorded| matches!(&own.entry.what, What::Label { event: other, .. } if other == event);
            let all: Vec<&Recorded> = chain.entries.iter().filter(is_of).collect();
            let last = all.iter().filter(|own| !all.iter().any(|other| followed[other.hash.as_str()].contains(own.hash.as_str())));
            prop_assert_eq!(said.len(), last.count(), "{}", event);
        }
        let from = &chain.entries[since.index(chain.entries.len())].hash;
        let found: Vec<&str> = chain.since(Some(from)).map(|own| own.hash.as_str()).collect();
        let expected = chain.entries.iter().map(|own| own.hash.as_str()).filter(|own| own != from && !followed[from.as_str()].contains(own));
        prop_assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

/// Looked at once for each label that would be twenty million steps with a map each, minutes long.
#[test]
fn a_chain_that_was_forked_once_says_at_once_what_is_said_of_thousands_of_decisions() {
    let labels = |from: usize, until: usize, says: Labelled| (from..until).map(|event| label(event, says)).collect::<Vec<_>>();
    let again = labels(0, 1_000, Labelled::Right).into_iter().chain(labels(1_000, 2_000, Labelled::Redundant)).collect();
    let chain = forked([labels(0, 2_000, Labelled::Harmful), labels(0, 1, Labelled::Wrong), labels(1, 2, Labelled::Wrong), again]);
    let says: Vec<Labelled> = chain.labels().into_values().collect();
    assert_eq!(says.len(), 2_000);
    assert!(says.iter().all(|says| matches!(says, Labelled::Right | Labelled::Redundant)), "what was said last of each");
}

#[test]
fn another_branch_of_the_same_length_is_not_what_was_looked_at() {
    let (folder, path) = folder_with(3);
    let seen = opened(folder.path()).0.chain().heads;
    assert!(opened(folder.path()).0.is_at(&seen));
    let text = fs::read_to_string(&path).unwrap();
    let common: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&path, common).unwrap();
    fs::remove_file(path.with_extension("head")).unwrap();
    let mut other = opened(folder.path()).0;
    other.append(vec![entry("another")]).unwrap();
    assert!(other.entries().len() == 3 && !other.is_at(&seen));
}

#[test]
fn an_entry_is_found_by_eight_digits_of_its_hash_or_more() {
    let (folder, _) = folder_with(3);
    let chain = opened(folder.path()).0.chain();
    let hash = chain.entries[1].hash.clone();
    for fit in [&hash[..], &hash[7..], &hash[..15], &hash[7..15]] {
        assert_eq!(chain.by_hash(fit).map(|own| &own.hash), Some(&hash), "{fit}");
    }
    for unfit in ["", "blake3:", &hash[..14], &hash[7..14], "00000000"] {
        assert_eq!(chain.by_hash(unfit), None, "{unfit}");
    }
}

#[test]
fn no_clock_of_who_replays_history_says_when_a_watcher_decided() {
    let (folder, _) = folder_with(0);
    let decision = |day: u32, is_backtest: bool| {
        let (incident, stage, hashes, event) = ("p#0".to_owned(), Stage::DryRun, Hashes::default(), serde_json::json!({}));
        Entry { at: at(day), what: What::Decision { incident, stage, hashes, event, is_backtest }, ..entry("x") }
    };
    opened(folder.path()).0.append(vec![decision(3, false), decision(9, true), decision(4, false)]).unwrap();
    let chain = sound(folder.path(), "restart");
    let decided = chain.decided_at();
    let days = chain.entries.iter().map(|own| decided[own.hash.as_str()]).collect::<Vec<_>>();
    assert_eq!(days, [3, 3, 4].map(at));
}
