//! Pictures of several policies: what each costs against what it brings, and where each helps or hurts.

use std::collections::BTreeMap;

use firedrill_core::name::Name;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::chart::{Figures, GRID, LABEL, NO_FIGURE, POLICY, Paint, SLIM, WIDTH, clock, finish, finish_of, mark, round_steps, titled};
use crate::pareto::{Costs, unbeaten};
use crate::table::PolicyRuns;
use crate::verdict::{Unit, significant};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const HEIGHT: u32 = 760;
const TEXT: u32 = 25;

/// Time to recover against harm, and against false positives: a point for each policy, those that no other beats joined by a line. None for
/// fewer than two policies or where nothing has to be recovered from.
#[must_use]
pub fn fronts(policies: &[PolicyRuns]) -> Vec<String> {
    let all: Vec<(&str, Costs)> = policies.iter().map(|runs| (runs.policy, Costs::of(runs.cases))).collect();
    if all.len() < 2 || all.iter().any(|(_, costs)| costs.recover_seconds.is_none()) {
        return Vec::new();
    }
    let harm = Axis { words: "mean harm, user-minutes", unit: Unit::UserMinutes, of: |costs| costs.harm };
    let wrong = Axis { words: "actions out of scope, share of all", unit: Unit::Ratio, of: |costs| costs.false_positive_rate };
    [harm, wrong].into_iter().map(|axis| front(&all, axis)).collect()
}

/// The figures of [`fronts`], a policy a row; `None` where it draws nothing.
#[must_use]
pub fn front_figures(policies: &[PolicyRuns]) -> Option<Figures> {
    let row = |runs: &PolicyRuns| {
        let costs = Costs::of(runs.cases);
        let recover = Unit::Seconds.show(libm::round(costs.recover_seconds?));
        let (harm, wrong) = (Unit::UserMinutes.show(costs.harm), Unit::Ratio.show(costs.false_positive_rate));
        Some(vec![runs.policy.to_owned(), recover, harm, wrong])
    };
    let rows: Vec<_> = policies.iter().map(row).collect::<Option<_>>()?;
    let columns = ["policy", "mean time to recover", "mean harm", "actions out of scope"].map(str::to_owned).to_vec();
    (rows.len() > 1).then_some(Figures { columns, rows })
}

/// What stands on the upright axis.
#[derive(Clone, Copy)]
struct Axis {
    words: &'static str,
    unit: Unit,
    of: fn(&Costs) -> f64,
}

/// A point of a front.
struct Point<'a> {
    name: &'a str,
    at: (f64, f64),
    is_unbeaten: bool,
}

fn front(all: &[(&str, Costs)], axis: Axis) -> String {
    let at: Vec<[f64; 2]> = all.iter().map(|(_, costs)| [costs.recover_seconds.unwrap_or(0.0), (axis.of)(costs)]).collect();
    let points: Vec<Point<'_>> = all
        .iter()
        .zip(&at)
        .zip(unbeaten(&at))
        .map(|(((name, _), [x, y]), is_unbeaten)| Point { name, at: (*x, *y), is_unbeaten })
        .collect();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        draw_front(&root, &points, axis).expect("drawing into a string cannot fail");
    }
    let title = format!("Mean time to recover against {}, a point for each policy", axis.words);
    let mut drawn = finish(&svg, HEIGHT, &title);
    for (index, point) in points.iter().enumerate() {
        let beaten = if point.is_unbeaten { "no other policy is as good in both and better in one" } else { "another policy is better" };
        let (recover, cost) = (Unit::Seconds.show(libm::round(point.at.0)), axis.unit.show(point.at.1));
        let told = format!("{}: recovers in {recover}, {}: {cost}; {beaten}", point.name, axis.words);
        let class = if point.is_unbeaten { "f-policy" } else { "f-nothing" };
        drawn = titled(&drawn, Paint::Fill, index, (class, &told));
    }
    drawn
}

fn draw_front(root: &Area, points: &[Point<'_>], axis: Axis) -> Drawn {
    let largest = |of: fn(&Point<'_>) -> f64| points.iter().map(of).fold(0.0, f64::max);
    let (across, up) = ((largest(|point| point.at.0) * 1.05).max(30.0), largest(|point| point.at.1) * 1.02);
    let (across, up) = (round_steps(across, Unit::Seconds), round_steps(up, axis.unit));
    let [right, top] = [&across, &up].map(|steps| steps.last().copied().unwrap_or(1.0));
    // Names stand right of their points.
    let room = right * 1.2;
    let mut chart = ChartBuilder::on(root)
        .margin_right(40)
        .margin_top(60)
        .x_label_area_size(110)
        .y_label_area_size(170)
        .build_cartesian_2d(0.0..room, 0.0..top)?;
    let text = |horizontal, vertical| ("sans-serif", TEXT).into_font().color(&LABEL.sentinel).pos(Pos::new(horizontal, vertical));
    let plot = chart.plotting_area();
    for y in up {
        let (left, end) = (plot.map_coordinate(&(0.0, y)), plot.map_coordinate(&(room, y)));
        root.draw(&PathElement::new([left, end], GRID.sentinel.stroke_width(2)))?;
        root.draw(&Text::new(axis.unit.show(y), (left.0 - 16, left.1), text(HPos::Right, VPos::Center)))?;
    }
    for x in across {
        let below = plot.map_coordinate(&(x, 0.0));
        root.draw(&PathElement::new([below, (below.0, below.1 + 10)], GRID.sentinel.stroke_width(2)))?;
        root.draw(&Text::new(clock(x), (below.0, below.1 + 20), text(HPos::Center, VPos::Top)))?;
    }
    root.draw(&Text::new(axis.words.to_owned(), (16, 14), text(HPos::Left, VPos::Top)))?;
    let middle = i32::try_from(WIDTH / 2)?;
    root.draw(&Text::new(
        "mean time to recover, minutes and seconds",
        (middle, i32::try_from(HEIGHT)? - 14),
        text(HPos::Center, VPos::Bottom),
    ))?;
    let mut best: Vec<(f64, f64)> = points.iter().filter(|point| point.is_unbeaten).map(|point| point.at).collect();
    best.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
    chart.draw_series(LineSeries::new(stairs(&best), POLICY.sentinel.stroke_width(4)))?;
    draw_points(root, &chart, points)
}

/// What the front stands for: from each point only what is right of it and above it is worse.
fn stairs(best: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut stairs = Vec::new();
    for (index, point) in best.iter().enumerate() {
        if let Some(before) = index.checked_sub(1).and_then(|before| best.get(before)) {
            stairs.push((point.0, before.1));
        }
        stairs.push(*point);
    }
    stairs
}

type Plane<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>>;

/// Each point with its name beside it; names that would lie on each other stand one below the other.
fn draw_points(root: &Area, chart: &Plane<'_, '_>, points: &[Point<'_>]) -> Drawn {
    let mut taken: Vec<(i32, i32)> = Vec::new();
    for (index, point) in points.iter().enumerate() {
        let (x, y) = chart.plotting_area().map_coordinate(&point.at);
        root.draw(&Circle::new((x, y), 13, mark(index).filled()))?;
        let mut beside = y;
        while taken.iter().any(|(other, line)| (other - x).abs() < 420 && (line - beside).abs() < 30) {
            beside -= 30;
        }
        taken.push((x, beside));
        let font = ("sans-serif", TEXT).into_font().color(&LABEL.sentinel).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(short(point.name), (x + 24, beside), font))?;
    }
    root.present()?;
    Ok(())
}

/// How much of what users lose with nobody acting each policy saves in each class, as a grid. None for fewer than two policies.
#[must_use]
pub fn heat(policies: &[PolicyRuns]) -> Option<String> {
    grid(policies, BROAD)
}

/// The same for a narrow screen, where it has room: classes stand above their cells.
#[must_use]
pub fn slim_heat(policies: &[PolicyRuns]) -> Option<String> {
    if policies.len() <= MOST_SLIM { grid(policies, NARROW) } else { None }
}

/// More policies have no room side by side on a narrow screen.
const MOST_SLIM: usize = 4;

/// How a grid is laid out.
#[derive(Clone, Copy)]
struct Layout {
    width: u32,
    /// Where cells begin.
    left: i32,
    /// The height of a row with its class.
    row: i32,
    /// How much of it the class takes above its cells.
    above: i32,
}

const BROAD: Layout = Layout { width: WIDTH, left: 430, row: 48, above: 0 };
const NARROW: Layout = Layout { width: SLIM, left: 0, row: 84, above: 36 };

fn grid(policies: &[PolicyRuns], layout: Layout) -> Option<String> {
    let cells: Vec<BTreeMap<&Name, Cell>> = policies.iter().map(of_classes).collect();
    let classes: Vec<&Name> = {
        let all: std::collections::BTreeSet<&Name> = cells.iter().flat_map(|own| own.keys().copied()).collect();
        all.into_iter().collect()
    };
    if policies.len() < 2 || classes.is_empty() {
        return None;
    }
    let height = u32::try_from(80 + layout.row * i32::try_from(classes.len()).ok()?).ok()?;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (layout.width, height)).into_drawing_area();
        draw_heat(&root, policies, (&classes, &cells), layout).expect("drawing into a string cannot fail");
    }
    let title = "What each policy saves of what users lose with nobody acting, by class";
    let mut drawn = finish_of(&svg, (layout.width, height), title);
    for (column, runs) in policies.iter().enumerate() {
        for (row, class) in classes.iter().enumerate() {
            let Some(cell) = cells[column].get(class) else { continue };
            let told = format!("{} in {class}: {}", runs.policy, cell.words());
            drawn = titled(&drawn, Paint::Fill, column * classes.len() + row, (cell.class(), &told));
        }
    }
    Some(drawn)
}

/// The figures of [`heat`], a class a row and a policy a column; `None` where it draws nothing.
#[must_use]
pub fn heat_figures(policies: &[PolicyRuns]) -> Option<Figures> {
    let cells: Vec<BTreeMap<&Name, Cell>> = policies.iter().map(of_classes).collect();
    let classes: std::collections::BTreeSet<&Name> = cells.iter().flat_map(|own| own.keys().copied()).collect();
    let row = |class: &Name| {
        let told = cells.iter().map(|own| own.get(class).map_or_else(|| NO_FIGURE.to_owned(), Cell::text));
        std::iter::once(class.to_string()).chain(told).collect::<Vec<_>>()
    };
    let rows: Vec<_> = classes.into_iter().map(row).collect();
    let columns = std::iter::once("class".to_owned()).chain(policies.iter().map(|runs| runs.policy.to_owned())).collect();
    (policies.len() > 1 && !rows.is_empty()).then_some(Figures { columns, rows })
}

/// What a policy did in a class.
struct Cell {
    /// Mean user-minutes lost with nobody acting.
    nothing: f64,
    /// Mean user-minutes lost with the policy.
    policy: f64,
}

impl Cell {
    /// What was saved of what could be, -1 to 1; `None` if nobody lost anything either way.
    fn saved(&self) -> Option<f64> {
        // Less than a user-minute is what the least margin of every comparison allows.
        let lost = self.nothing.max(self.policy);
        (lost >= 1.0).then(|| ((self.nothing - self.policy) / lost).clamp(-1.0, 1.0))
    }

    fn words(&self) -> String {
        format!("{} user-minutes lost on average, {} with nobody acting", significant(self.policy), significant(self.nothing))
    }

    fn text(&self) -> String {
        match self.saved() {
            None => "nothing lost".to_owned(),
            Some(saved) if saved < 0.0 => format!("{} more lost", significant(self.policy - self.nothing)),
            Some(saved) => format!("{:.0} % saved", saved * 100.0),
        }
    }

    fn class(&self) -> &'static str {
        match self.saved() {
            None => "h-none",
            Some(saved) if saved < -0.01 => "h-bad",
            Some(saved) if saved < 0.01 => "h-none",
            Some(saved) if saved < 0.5 => "h-some",
            Some(_) => "h-good",
        }
    }
}

fn of_classes<'a>(runs: &PolicyRuns<'a>) -> BTreeMap<&'a Name, Cell> {
    let mut sums: BTreeMap<&Name, (f64, f64, f64)> = BTreeMap::new();
    for case in runs.cases {
        let sum = sums.entry(&case.class).or_default();
        *sum = (sum.0 + 1.0, sum.1 + case.outcome.nothing.user_minutes_lost, sum.2 + case.outcome.user_minutes_lost);
    }
    sums.into_iter().map(|(class, (n, nothing, policy))| (class, Cell { nothing: nothing / n, policy: policy / n })).collect()
}

type Classes<'a> = (&'a [&'a Name], &'a [BTreeMap<&'a Name, Cell>]);

fn draw_heat(root: &Area, policies: &[PolicyRuns], (classes, cells): Classes<'_>, layout: Layout) -> Drawn {
    let Layout { left: begin, row: height, above, .. } = layout;
    let columns = i32::try_from(policies.len())?;
    let width = (i32::try_from(layout.width)? - begin) / columns;
    let text = |horizontal| ("sans-serif", TEXT).into_font().color(&LABEL.sentinel).pos(Pos::new(horizontal, VPos::Center));
    // A letter of this size is about 13 wide.
    let room = usize::try_from(width / 13)?;
    for (index, (runs, cells)) in policies.iter().zip(cells).enumerate() {
        let left = begin + width * i32::try_from(index)?;
        let lines = in_two(&short(runs.policy), room.max(3));
        let first = if lines.len() > 1 { 24 } else { 40 };
        for (line, y) in lines.into_iter().zip([first, first + 30]) {
            root.draw(&Text::new(line, (left + width / 2, y), text(HPos::Center)))?;
        }
        for (row, class) in classes.iter().enumerate() {
            let (top, end) = (80 + height * i32::try_from(row)? + above, 80 + height * (i32::try_from(row)? + 1));
            let Some(cell) = cells.get(class) else { continue };
            let colour = mark(index * classes.len() + row);
            root.draw(&Rectangle::new([(left + 3, top + 3), (left + width - 3, end - 3)], colour.filled()))?;
            let told = cell.text();
            if told.chars().count() <= room {
                root.draw(&Text::new(told, (left + width / 2, i32::midpoint(top, end)), text(HPos::Center)))?;
            }
        }
    }
    for (row, class) in classes.iter().enumerate() {
        let top = 80 + height * i32::try_from(row)?;
        let (x, y, side) = if above > 0 { (3, top + above / 2, HPos::Left) } else { (begin - 20, top + height / 2, HPos::Right) };
        root.draw(&Text::new(class.to_string(), (x, y), text(side)))?;
    }
    root.present()?;
    Ok(())
}

/// A policy's name in a picture: a path is called by its file, and a long name is cut where the room ends.
pub(crate) fn short(policy: &str) -> String {
    const ROOM: usize = 24;
    let name = policy.rsplit('/').next().unwrap_or(policy);
    let name = name.strip_suffix(".yaml").unwrap_or(name);
    let count = name.chars().count();
    if count <= ROOM {
        return name.to_owned();
    }
    // Names that begin alike differ at their ends.
    let (begin, end) = (ROOM / 2, ROOM - 1 - ROOM / 2);
    name.chars().take(begin).chain(['…']).chain(name.chars().skip(count - end)).collect()
}

/// A name on one line, or on two that break behind a hyphen, if there is one where it helps; what has no room on the second is left out.
fn in_two(name: &str, room: usize) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= room {
        return vec![name.to_owned()];
    }
    let at = letters[..room].iter().rposition(|letter| *letter == '-').map_or(room, |at| at + 1);
    let at = if letters.len() - at > room { room } else { at };
    [&letters[..at], &letters[at..letters.len().min(at + room)]].iter().map(|line| line.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn long_names_can_be_told_apart_and_read() {
        assert_eq!(short("policies/rollback-on-regression-in-staging.yaml"), "rollback-on-…-in-staging");
        assert_eq!(in_two("rollback-on-regression", 14), ["rollback-on-", "regression"]);
        assert_eq!(in_two("restart", 14), ["restart"]);
        assert_eq!(in_two("averylongnamewithoutany-hyphens", 14), ["averylongnamew", "ithoutany-hyph"]);
    }

    #[test]
    fn every_policy_is_a_point_with_a_tooltip_and_the_best_are_joined() {
        let (one, mut other) = (sample::cases(), sample::cases());
        other.iter_mut().for_each(|case| case.outcome.harm += 5.0);
        let runs = [PolicyRuns { policy: "good", cases: &one }, PolicyRuns { policy: "worse & <odd>", cases: &other }];
        let drawn = fronts(&runs);
        assert_eq!(drawn.len(), 2);
        assert!(drawn[0].contains("<g class=\"f-policy\"><title>good: recovers in "), "{}", drawn[0]);
        assert!(drawn[0].contains("<g class=\"f-nothing\"><title>worse &amp; &lt;odd&gt;: recovers in "), "{}", drawn[0]);
        assert!(drawn[0].contains("s-policy"), "the front is a line");
        assert!(!drawn[0].contains("\"#"), "a colour that is no class");
        assert!(drawn[1].matches("f-policy").count() >= 2, "equal policies share the front");
        assert!(fronts(&runs[..1]).is_empty(), "one policy has nothing to be compared with");
    }

    #[test]
    fn each_class_and_policy_is_a_cell_with_a_tooltip() {
        let (one, other) = (sample::cases(), sample::cases());
        let runs = [PolicyRuns { policy: "good", cases: &one }, PolicyRuns { policy: "other", cases: &other }];
        let drawn = heat(&runs).unwrap();
        assert_eq!(drawn.matches("<title>good in ").count(), 4, "{drawn}");
        assert!(drawn.contains("h-good") && drawn.contains("h-bad") && drawn.contains("h-none"), "{drawn}");
        assert!(!drawn.contains("\"#"), "a colour that is no class");
        assert_eq!(heat(&runs[..1]), None);
        let slim = slim_heat(&runs).unwrap();
        assert!(slim.contains("viewBox=\"0 0 740 ") && slim.matches("<title>good in ").count() == 4, "{slim}");
        assert_eq!(slim_heat(&[runs[0]; 5]), None, "five have no room side by side");
    }
}
