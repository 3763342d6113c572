//! Charts as SVG that scales with its page and takes its colours from the page's style sheet, so that they work in the dark.

use std::fmt::Write as _;

use firedrill_core::ledger::BIN;
use firedrill_core::time::Time;
use firedrill_core::transcript::Transcript;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::outcome::{Arms, OutcomeSettings, UserSeries};
use crate::timeline::{Kind, Timeline};
use crate::verdict::Unit;

/// Charts are drawn at twice the size at which they are shown, so that lines stay sharp.
pub(crate) const WIDTH: u32 = 1800;
/// The width of a chart for a narrow screen.
pub(crate) const SLIM: u32 = 740;
const TEXT: u32 = 25;

/// What something in a chart stands for. Drawn in a colour that nothing else has, which then becomes a class of the style sheet.
#[derive(Clone, Copy)]
pub(crate) struct Role {
    /// The end of its classes in the style sheet.
    pub(crate) class: &'static str,
    /// The colour in which it is drawn.
    pub(crate) sentinel: RGBColor,
}

pub(crate) const NOTHING: Role = Role { class: "nothing", sentinel: RGBColor(1, 2, 3) };
pub(crate) const POLICY: Role = Role { class: "policy", sentinel: RGBColor(1, 2, 4) };
pub(crate) const ORACLE: Role = Role { class: "oracle", sentinel: RGBColor(1, 2, 5) };
pub(crate) const GRID: Role = Role { class: "grid", sentinel: RGBColor(1, 2, 6) };
pub(crate) const LABEL: Role = Role { class: "label", sentinel: RGBColor(1, 2, 7) };
const FAULT: Role = Role { class: "fault", sentinel: RGBColor(1, 2, 8) };
const ALERT: Role = Role { class: "alert", sentinel: RGBColor(1, 2, 9) };
const ACTION: Role = Role { class: "action", sentinel: RGBColor(1, 2, 10) };
const PAGER: Role = Role { class: "pager", sentinel: RGBColor(1, 2, 11) };
const ON_MARK: Role = Role { class: "on-mark", sentinel: RGBColor(1, 2, 12) };
pub(crate) const HUMAN: Role = Role { class: "human", sentinel: RGBColor(1, 2, 13) };
/// Policies that stand side by side, each in a colour of its own.
const POLICIES: [Role; 6] = [
    POLICY,
    Role { class: "policy-2", sentinel: RGBColor(1, 2, 14) },
    Role { class: "policy-3", sentinel: RGBColor(1, 2, 15) },
    Role { class: "policy-4", sentinel: RGBColor(1, 2, 16) },
    Role { class: "policy-5", sentinel: RGBColor(1, 2, 17) },
    Role { class: "policy-6", sentinel: RGBColor(1, 2, 18) },
];
const SHARED: [Role; 10] = [NOTHING, ORACLE, HUMAN, GRID, LABEL, FAULT, ALERT, ACTION, PAGER, ON_MARK];

/// The role of one of several policies. Of more than there are colours the first colour comes again.
pub(crate) const fn policy_role(index: usize) -> Role {
    POLICIES[index % POLICIES.len()]
}

fn roles() -> impl Iterator<Item = Role> {
    SHARED.into_iter().chain(POLICIES)
}

/// Something that a chart marks with a numbered line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Time,
    /// The style class: `alert`, `action` or `pager`.
    pub class: &'static str,
    /// What the number stands for.
    pub text: String,
}

/// The alerts, actions and pages of a story, in order; what cannot be drawn apart is left to the story.
#[must_use]
pub fn marks(timeline: &Timeline) -> Vec<Mark> {
    let class = |kind: Kind, text: &str| match kind {
        Kind::Alert if text.contains(" fires") => Some(ALERT.class),
        Kind::Action if text.ends_with(" begins") => Some(ACTION.class),
        Kind::Page => Some(PAGER.class),
        _ => None,
    };
    let marks = timeline.lines.iter().filter_map(|line| {
        let text = line.text.trim_end_matches(" begins").to_owned();
        Some(Mark { at: line.at, class: class(line.kind, &line.text)?, text })
    });
    marks.take(24).collect()
}

/// The share of good requests in each bin of 10 s, for each arm; faults are shaded, marks are numbered lines.
#[must_use]
pub fn success(arms: &Arms, marks: &[Mark], title: &str) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, 640)).into_drawing_area();
        draw_success(&root, arms, marks).expect("drawing into a string cannot fail");
    }
    finish(&svg, 640, title)
}

/// A row of bars.
#[derive(Clone, Debug, PartialEq)]
pub struct BarRow {
    /// What the row is about.
    pub label: String,
    /// User-minutes lost with nobody acting; `None` leaves the bar out.
    pub nothing: Option<f64>,
    /// With each policy, and what stands beside its bar; empty where there is one policy. `None` leaves the bar out.
    pub policies: Vec<(Option<f64>, String)>,
    /// With an oracle; `None` leaves the bar out.
    pub oracle: Option<f64>,
}

impl BarRow {
    /// The bars from top to bottom: what stands beside each, and whose it is.
    fn bars(&self) -> impl Iterator<Item = (f64, &str, Role)> {
        let nothing = self.nothing.map(|value| (value, "", NOTHING));
        let policies = self.policies.iter().enumerate();
        let policies = policies.filter_map(|(index, (value, name))| Some(((*value)?, name.as_str(), policy_role(index))));
        nothing.into_iter().chain(policies).chain(self.oracle.map(|value| (value, "", ORACLE)))
    }
}

/// The same figures as [`bars`] draws, with a column for each of these policies.
#[must_use]
pub fn bar_figures(rows: &[BarRow], policies: &[&str]) -> Figures {
    let columns = ["class", "doing nothing"].into_iter().chain(policies.iter().copied()).chain(["an oracle"]).map(str::to_owned).collect();
    let show = |value: Option<f64>| value.map_or_else(|| NO_FIGURE.to_owned(), |value| Unit::UserMinutes.show(value));
    let row = |row: &BarRow| {
        let of_policies = (0..policies.len()).map(|index| show(row.policies.get(index).and_then(|(value, _)| *value)));
        [row.label.clone(), show(row.nothing)].into_iter().chain(of_policies).chain([show(row.oracle)]).collect()
    };
    Figures { columns, rows: rows.iter().map(row).collect() }
}

/// User-minutes lost in each arm, one row a class, each row to its own scale: classes differ by orders of magnitude.
#[must_use]
pub fn bars(rows: &[BarRow], title: &str) -> String {
    let height = 20 + rows.iter().map(row_height).sum::<i32>();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
        draw_bars(&root, rows).expect("drawing into a string cannot fail");
    }
    finish(&svg, height as u32, title)
}

/// The same as [`bars`] for a screen that is as narrow as a telephone: what a bar says stands above it.
#[must_use]
pub fn slim_bars(rows: &[BarRow], title: &str) -> String {
    let height = 20 + rows.iter().map(slim_row_height).sum::<i32>();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (SLIM, height as u32)).into_drawing_area();
        draw_slim_bars(&root, rows).expect("drawing into a string cannot fail");
    }
    finish_of(&svg, (SLIM, height as u32), title)
}

/// The figures of a chart as a table, for whoever reads them aloud or copies them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The heads of its columns; the first is that of what each row is about.
    pub columns: Vec<String>,
    /// Its rows, each with a cell for each column.
    pub rows: Vec<Vec<String>>,
}

/// Where a chart has nothing to show.
pub(crate) const NO_FIGURE: &str = "–";

/// So many rows are enough to read a run by.
const MOST_ROWS: usize = 90;

/// The share of good requests of each arm, by the minute, or by several if the run is long.
#[must_use]
pub fn success_figures(arms: &Arms) -> Figures {
    let runs = [
        ("doing nothing", Some(arms.nothing)),
        ("the policy", Some(arms.policy)),
        ("a person on call", arms.human),
        ("an oracle", arms.oracle),
    ];
    let runs: Vec<(&str, UserSeries)> =
        runs.into_iter().filter_map(|(name, run)| Some((name, UserSeries::of(&run?.ledger, &OutcomeSettings::default())))).collect();
    let common = [Some(arms.nothing), arms.oracle, Some(arms.policy)];
    let bins = common.iter().flatten().map(|run| run.ledger.ended.as_nanos().div_ceil(BIN.as_nanos()) as usize).max().unwrap_or(0);
    let minute = 6;
    let step = minute * bins.div_ceil(minute * MOST_ROWS).max(1);
    let share = |users: &UserSeries, from: usize| {
        let until = (from + step).min(users.len());
        (from < until).then(|| users.bad_share_within(from..until)).flatten()
    };
    let row = |from: usize| {
        let shares =
            runs.iter().map(|(_, users)| share(users, from).map_or_else(|| NO_FIGURE.to_owned(), |bad| Unit::Ratio.show(1.0 - bad)));
        std::iter::once(clock(from as f64 * BIN.as_seconds())).chain(shares).collect()
    };
    let columns = std::iter::once("from").chain(runs.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
    Figures { columns, rows: (0..bins).step_by(step).map(row).collect() }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw_success(root: &Area, arms: &Arms, marks: &[Mark]) -> Drawn {
    let runs = [
        Some((arms.nothing, NOTHING)),
        arms.human.map(|run| (run, HUMAN)),
        arms.oracle.map(|run| (run, ORACLE)),
        Some((arms.policy, POLICY)),
    ];
    // Who waits for a person shows what the others do until their end.
    let common = [Some(arms.nothing), arms.oracle, Some(arms.policy)];
    let ended = common.iter().flatten().map(|run| run.ledger.ended).max().unwrap_or(Time::ZERO).as_seconds().max(10.0);
    let rows = mark_rows(marks, ended);
    let deepest = rows.iter().max().map_or(0, |row| row + 1);
    let mut chart = ChartBuilder::on(root)
        .margin_right(30)
        .margin_top(12 + 44 * deepest as u32)
        .x_label_area_size(64)
        .y_label_area_size(100)
        .build_cartesian_2d(0.0..ended, 0.0..100.0)?;
    draw_axes(root, chart.plotting_area(), ended)?;
    for fault in &arms.policy.ledger.faults {
        let until = fault.ended.unwrap_or(arms.policy.ledger.ended).as_seconds();
        // A crash takes no time, and is seen all the same.
        let until = until.max(fault.started.as_seconds() + ended / 300.0);
        chart.draw_series([Rectangle::new([(fault.started.as_seconds(), 0.0), (until, 100.0)], FAULT.sentinel.filled())])?;
    }
    for (run, role) in runs.into_iter().flatten() {
        for stretch in stretches(run, ended) {
            chart.draw_series(LineSeries::new(stretch, role.sentinel.stroke_width(if role.class == "policy" { 6 } else { 5 })))?;
        }
    }
    for (number, (mark, row)) in marks.iter().zip(&rows).enumerate() {
        let at = chart.plotting_area().map_coordinate(&(mark.at.as_seconds().min(ended), 0.0));
        draw_mark(root, mark, number + 1, *row, at)?;
    }
    root.present()?;
    Ok(())
}

type Plot<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Grid and labels at round figures, which plotters would not choose for times.
fn draw_axes(root: &Area, plot: &Plot, ended: f64) -> Drawn {
    let text = |horizontal, vertical| ("sans-serif", TEXT).into_font().color(&LABEL.sentinel).pos(Pos::new(horizontal, vertical));
    for share in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let (left, right) = (plot.map_coordinate(&(0.0, share)), plot.map_coordinate(&(ended, share)));
        root.draw(&PathElement::new([left, right], GRID.sentinel.stroke_width(2)))?;
        root.draw(&Text::new(format!("{share:.0} %"), (left.0 - 16, left.1), text(HPos::Right, VPos::Center)))?;
    }
    for seconds in ticks(ended) {
        let (x, y) = plot.map_coordinate(&(seconds, 0.0));
        root.draw(&PathElement::new([(x, y), (x, y + 10)], GRID.sentinel.stroke_width(2)))?;
        root.draw(&Text::new(clock(seconds), (x, y + 20), text(HPos::Center, VPos::Top)))?;
    }
    Ok(())
}

/// A numbered circle above the plot, and a line from it down to the axis.
fn draw_mark(root: &Area, mark: &Mark, number: usize, row: usize, (x, bottom): (i32, i32)) -> Drawn {
    let role = roles().find(|role| role.class == mark.class).expect("marks are made with our classes");
    let y = 26 + 44 * row as i32;
    root.draw(&PathElement::new([(x, y + 18), (x, bottom)], role.sentinel.stroke_width(3)))?;
    root.draw(&Circle::new((x, y), 18, role.sentinel.filled()))?;
    let text = ("sans-serif", 23).into_font().color(&ON_MARK.sentinel).pos(Pos::new(HPos::Center, VPos::Center));
    root.draw(&Text::new(number.to_string(), (x, y), text))?;
    Ok(())
}

/// The share of good requests as steps, a bin each, broken where nothing is known. Steps, because a slope between two bins
/// would show figures that no bin had.
fn stretches(run: &Transcript, ended: f64) -> Vec<Vec<(f64, f64)>> {
    let users = UserSeries::of(&run.ledger, &OutcomeSettings::default());
    let mut stretches = vec![Vec::new()];
    for bin in (0..users.len()).take_while(|bin| *bin as f64 * BIN.as_seconds() < ended) {
        match users.bad_share(bin) {
            Some(bad) => {
                let (begin, share) = (bin as f64 * BIN.as_seconds(), 100.0 * (1.0 - bad));
                let end = (begin + BIN.as_seconds()).min(run.ledger.ended.as_seconds()).min(ended);
                stretches.last_mut().expect("there is always a stretch").extend([(begin, share), (end, share)]);
            }
            None => stretches.push(Vec::new()),
        }
    }
    stretches.retain(|stretch| !stretch.is_empty());
    stretches
}

/// Numbers that would touch stand below each other.
fn mark_rows(marks: &[Mark], ended: f64) -> Vec<usize> {
    let apart = ended * 44.0 / f64::from(WIDTH - 130);
    let mut last_in_row: Vec<f64> = Vec::new();
    let rows = marks.iter().map(|mark| {
        let at = mark.at.as_seconds();
        let row = last_in_row.iter().position(|last| at - last >= apart).unwrap_or(last_in_row.len());
        if row == last_in_row.len() {
            last_in_row.push(at);
        } else {
            last_in_row[row] = at;
        }
        row
    });
    rows.collect()
}

/// At most a dozen labels on the time axis, at round times.
pub(crate) fn ticks(ended: f64) -> Vec<f64> {
    let steps = [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0];
    let step = steps.into_iter().find(|step| ended / step <= 12.0).unwrap_or(86_400.0);
    (0..=(ended / step) as u32).map(|index| f64::from(index) * step).collect()
}

/// Round spans for the steps of an axis of time, seconds.
const TIMES: [f64; 15] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0];

/// Round figures from 0 to the first that is no smaller than the largest of what is shown; from 0 to 1 where all of it is 0.
pub(crate) fn round_steps(largest: f64, unit: Unit) -> Vec<f64> {
    if largest <= 0.0 {
        return vec![0.0, 0.25, 0.5, 0.75, 1.0];
    }
    let enough = |step: &f64| largest / step <= 5.0;
    let step = match unit {
        Unit::Seconds => TIMES.into_iter().find(enough).unwrap_or(86_400.0),
        _ => {
            let mut tens = 1e-6;
            while tens * 50.0 < largest {
                tens *= 10.0;
            }
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * tens).find(enough).unwrap_or(largest)
        }
    };
    let count = libm::ceil(largest / step - 1e-9) as u32;
    // What adding up leaves in the last places is no digit of the axis.
    (0..=count.max(2)).map(|index| libm::round(f64::from(index) * step * 1e9) / 1e9).collect()
}

pub(crate) fn clock(seconds: f64) -> String {
    let seconds = libm::round(seconds) as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

const BAR: i32 = 34;

fn row_height(row: &BarRow) -> i32 {
    row.bars().count() as i32 * (BAR + 6) + 34
}

/// Its label, and for each bar a line of text and the bar.
fn slim_row_height(row: &BarRow) -> i32 {
    44 + row.bars().count() as i32 * (BAR + 36) + 24
}

fn draw_slim_bars(root: &Area, rows: &[BarRow]) -> Drawn {
    let text = |size: i32| ("sans-serif", size).into_font().color(&LABEL.sentinel).pos(Pos::new(HPos::Left, VPos::Top));
    let widest = f64::from(SLIM) - 8.0;
    let mut y = 10;
    for row in rows {
        let largest = row.bars().map(|(value, ..)| value).fold(0.0, f64::max);
        root.draw(&Text::new(row.label.clone(), (0, y), text(32)))?;
        y += 44;
        for (value, name, role) in row.bars() {
            let length = if largest > 0.0 { (widest * value / largest).max(3.0) } else { 3.0 };
            let above = format!("{} {name}", Unit::UserMinutes.show(value));
            root.draw(&Text::new(above.trim_end().to_owned(), (0, y), text(26)))?;
            root.draw(&Rectangle::new([(0, y + 32), (length as i32, y + 32 + BAR - 6)], role.sentinel.filled()))?;
            y += BAR + 36;
        }
        y += 24;
    }
    root.present()?;
    Ok(())
}

fn draw_bars(root: &Area, rows: &[BarRow]) -> Drawn {
    // Names beside bars need room of their own.
    let is_named = rows.iter().flat_map(|row| &row.policies).any(|(_, name)| !name.is_empty());
    let (left, widest) = (430, f64::from(WIDTH) - 430.0 - if is_named { 680.0 } else { 320.0 });
    let aligned = |side| Pos::new(side, VPos::Center);
    let font = || ("sans-serif", 28).into_font();
    let mut top = 10;
    for row in rows {
        let height = row_height(row);
        let largest = row.bars().map(|(value, ..)| value).fold(0.0, f64::max);
        let label = font().color(&LABEL.sentinel).pos(aligned(HPos::Right));
        root.draw(&Text::new(row.label.clone(), (left - 24, top + (height - 34) / 2), label))?;
        let mut y = top;
        for (value, name, role) in row.bars() {
            // A bar of nothing is a hairline: there, and empty.
            let length = if largest > 0.0 { (widest * value / largest).max(3.0) } else { 3.0 };
            let beside = format!("{} {name}", Unit::UserMinutes.show(value));
            root.draw(&Rectangle::new([(left, y), (left + length as i32, y + BAR)], role.sentinel.filled()))?;
            let text = font().color(&LABEL.sentinel).pos(aligned(HPos::Left));
            root.draw(&Text::new(beside.trim_end().to_owned(), (left + length as i32 + 16, y + BAR / 2), text))?;
            y += BAR + 6;
        }
        top += height;
    }
    root.present()?;
    Ok(())
}

/// Turns what plotters drew into a chart of the page: scalable, named for those who cannot see it, coloured by class.
pub(crate) fn finish(svg: &str, height: u32, title: &str) -> String {
    finish_of(svg, (WIDTH, height), title)
}

/// The same of a chart of another width.
pub(crate) fn finish_of(svg: &str, (width, height): (u32, u32), title: &str) -> String {
    let body = svg.find('>').map_or("", |end| &svg[end + 1..]);
    let title = escape(title);
    let mut text = String::new();
    let _ = write!(text, "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\" xmlns=\"http://www.w3.org/2000/svg\">");
    let _ = write!(text, "<title>{title}</title>");
    let mut body = body.to_owned();
    for role in roles() {
        let RGBColor(red, green, blue) = role.sentinel;
        let colour = format!("#{red:02X}{green:02X}{blue:02X}");
        body = body.replace(&format!("stroke=\"{colour}\""), &format!("class=\"s-{}\"", role.class));
        body = body.replace(&format!("fill=\"{colour}\""), &format!("class=\"f-{}\"", role.class));
    }
    text.push_str(&readable_markup(body.trim()));
    text
}

/// What of a shape has a colour.
#[derive(Clone, Copy)]
pub(crate) enum Paint {
    /// Its inside.
    Fill,
    /// Its line.
    Stroke,
}

/// A colour that only one shape has, by which [`titled`] finds it again in what was drawn.
pub(crate) fn mark(index: usize) -> RGBColor {
    let [.., high, low] = index.to_be_bytes();
    RGBColor(3, high, low)
}

/// Gives the shape that was drawn in [`mark`]'s colour a class and a tooltip.
pub(crate) fn titled(svg: &str, paint: Paint, index: usize, (class, title): (&str, &str)) -> String {
    let RGBColor(red, green, blue) = mark(index);
    let attribute = match paint {
        Paint::Fill => "fill",
        Paint::Stroke => "stroke",
    };
    let colour = format!("{attribute}=\"#{red:02X}{green:02X}{blue:02X}\"");
    let Some(at) = svg.find(&colour) else { return svg.to_owned() };
    let (Some(begin), Some(end)) = (svg[..at].rfind('<'), svg[at..].find("/>").map(|end| at + end + 2)) else { return svg.to_owned() };
    let shape = svg[begin..end].replace(&colour, "");
    format!("{}<g class=\"{class}\"><title>{}</title>{shape}</g>{}", &svg[..begin], escape(title), &svg[end..])
}

/// Fonts' sizes come out of a division: two decimals are finer than any screen.
fn readable_markup(svg: &str) -> String {
    let mut parts = svg.split("font-size=\"");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (size, rest) = part.split_once('"').unwrap_or((part, ""));
        let size = size.parse::<f64>().map_or_else(|_| size.to_owned(), |size| format!("{size:.1}"));
        let _ = write!(text, "font-size=\"{size}\"{rest}");
    }
    text
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::timeline::tell;

    #[test]
    fn a_chart_has_no_colour_of_its_own_and_a_name_for_those_who_cannot_see_it() {
        let (nothing, policy, oracle) = sample::storm();
        let marks = marks(&tell(&sample::story()));
        let svg = success(&Arms { nothing: &nothing, policy: &policy, oracle: Some(&oracle), human: None }, &marks, "a < b & c");
        assert!(svg.contains("role=\"img\" aria-label=\"a &lt; b &amp; c\"") && svg.contains("<title>a &lt; b &amp; c</title>"));
        assert!(!svg.contains("\"#"), "a colour that is no class: {}", &svg[svg.find("\"#").unwrap()..][..80]);
        for class in ["s-nothing", "s-policy", "s-oracle", "f-fault", "s-alert", "s-action", "f-pager"] {
            assert!(svg.contains(class), "{class}");
        }
        assert_eq!(svg.matches("class=").count(), svg.matches("class=\"").count());
    }

    #[test]
    fn marks_that_would_touch_stand_below_each_other() {
        let at = |seconds| Mark { at: Time::from_seconds(seconds), class: "alert", text: String::new() };
        assert_eq!(mark_rows(&[at(0), at(1), at(2), at(300), at(301)], 600.0), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_bin_is_a_step_and_what_is_unknown_is_a_gap() {
        let mut run = sample::Sample::new(30).bad(10, 20, 50).build();
        assert_eq!(stretches(&run, 1e9), [[(0.0, 100.0), (10.0, 100.0), (10.0, 50.0), (20.0, 50.0), (20.0, 100.0), (30.0, 100.0)]]);
        run.ledger.clients[0].outcomes.truncate(5);
        run.ledger.clients[0].bin_starts.clear();
        assert!(stretches(&run, 1e9).is_empty());
    }

    #[test]
    fn bars_are_to_the_scale_of_their_row() {
        let rows = [BarRow { label: "storm".into(), nothing: Some(1000.0), policies: vec![(Some(500.0), String::new())], oracle: None }];
        let svg = bars(&rows, "lost");
        assert!(svg.contains("width=\"1050\"") && svg.contains("width=\"525\""), "{svg}");
        assert!(svg.contains("1,000 user-min"), "{svg}");
    }

    #[test]
    fn each_of_several_policies_has_a_colour_of_its_own() {
        let policies = ["a", "b", "c"].map(|name| (Some(5.0), name.to_owned())).to_vec();
        let svg = bars(&[BarRow { label: "storm".into(), nothing: Some(9.0), policies, oracle: None }], "lost");
        for class in ["f-nothing", "f-policy\"", "f-policy-2", "f-policy-3"] {
            assert!(svg.contains(class), "{class}: {svg}");
        }
        assert!(!svg.contains("\"#"), "a colour that is no class: {svg}");
    }

    #[test]
    fn a_narrow_screen_has_bars_of_its_own_that_keep_their_scale() {
        let rows = [BarRow { label: "storm".into(), nothing: Some(1000.0), policies: vec![(Some(500.0), "a".into())], oracle: None }];
        let svg = slim_bars(&rows, "lost");
        assert!(svg.contains("viewBox=\"0 0 740 ") && svg.contains("width=\"732\"") && svg.contains("width=\"366\""), "{svg}");
        assert!(svg.contains("500 user-min a"), "{svg}");
    }

    #[test]
    fn axes_have_round_figures_and_reach_what_they_show() {
        assert_eq!(round_steps(0.0, Unit::UserMinutes), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(round_steps(0.0, Unit::Ratio), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(round_steps(563.0, Unit::Seconds), [0.0, 120.0, 240.0, 360.0, 480.0, 600.0]);
        assert_eq!(round_steps(804.0, Unit::UserMinutes), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        for largest in [0.003, 0.4, 7.0, 55_345.0, 1e7] {
            let steps = round_steps(largest, Unit::UserMinutes);
            assert!(steps.len() <= 7 && steps.len() >= 3 && *steps.last().unwrap() >= largest, "{largest}: {steps:?}");
        }
    }

    #[test]
    fn the_time_axis_has_round_times() {
        assert_eq!(ticks(60.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!([600.0, 1800.0, 7200.0].map(|ended| ticks(ended)[1]), [60.0, 300.0, 600.0]);
        assert_eq!(clock(3725.0), "1:02:05");
    }
}
