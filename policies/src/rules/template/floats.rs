//! Floats in digits, as Go's `strconv.FormatFloat` writes them.

/// A float by one of the verbs `b e E f g G x X`. Without a precision it has as many digits as tell it from any other float.
pub(super) fn written(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let size = value.abs();
    if size.is_infinite() {
        return if sign.is_empty() { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let digits = match verb {
        'b' => binary(size),
        'x' | 'X' => hexadecimal(size, precision, verb == 'X'),
        'e' | 'E' => exponential(size, verb, precision),
        'f' => fixed(size, precision),
        _ => general(size, if verb == 'G' { 'E' } else { 'e' }, precision),
    };
    format!("{sign}{digits}")
}

/// No float has more digits than this, before the point or behind it; what follows is zeros.
const MOST_DIGITS: usize = 1_100;

fn fixed(size: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else { return format!("{size}") };
    format!("{size:.*}{}", precision.min(MOST_DIGITS), "0".repeat(precision.saturating_sub(MOST_DIGITS)))
}

fn exponential(size: f64, letter: char, precision: Option<usize>) -> String {
    let short = precision.map_or_else(|| format!("{size:e}"), |precision| format!("{size:.*e}", precision.min(MOST_DIGITS)));
    let (mantissa, exponent) = short.split_once('e').unwrap_or((&short, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    let zeros = "0".repeat(precision.unwrap_or(0).saturating_sub(MOST_DIGITS));
    format!("{mantissa}{zeros}{letter}{sign}{exponent:0>2}")
}

/// With an exponent if that is small or large, and without trailing zeros.
fn general(size: f64, letter: char, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.clamp(1, MOST_DIGITS));
    let scientific = precision.map_or_else(|| format!("{size:e}"), |precision| format!("{size:.*e}", precision - 1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let most = precision.map_or(6, |precision| i32::try_from(precision).unwrap_or(i32::MAX));
    if exponent < -4 || exponent >= most {
        return exponential(size, letter, Some(digits.len().saturating_sub(1)));
    }
    let decimals = usize::try_from(count - 1 - exponent).unwrap_or(0);
    format!("{:.decimals$}", digits_as_float(digits, exponent))
}

/// The float that these digits write, the first before the point and the rest behind it, times ten to the exponent.
fn digits_as_float(digits: &str, exponent: i32) -> f64 {
    if digits.is_empty() {
        return 0.0;
    }
    format!("{}.{}e{exponent}", &digits[..1], &digits[1..]).parse().unwrap_or(0.0)
}

/// Mantissa and exponent of two: `4503599627370496p-52`.
fn binary(size: f64) -> String {
    let (mantissa, exponent) = parts(size);
    let exponent = exponent - 52;
    format!("{mantissa}p{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// The mantissa, and the exponent of its highest bit.
fn parts(size: f64) -> (u64, i32) {
    let bits = size.to_bits();
    let mantissa = bits & ((1 << 52) - 1);
    match i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0) {
        0 => (mantissa, -1022),
        exponent => (mantissa | 1 << 52, exponent - 1023),
    }
}

/// As `0x1.8p+01`.
fn hexadecimal(size: f64, precision: Option<usize>, is_upper: bool) -> String {
    let (mut mantissa, mut exponent) = parts(size);
    if mantissa == 0 {
        exponent = 0;
    }
    // One digit before the point and fifteen behind it.
    mantissa <<= 8;
    while mantissa != 0 && mantissa & 1 << 60 == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(precision) = precision.filter(|precision| *precision < 15) {
        let shift = precision * 4;
        let extra = (mantissa << shift) & ((1 << 60) - 1);
        mantissa >>= 60 - shift;
        if extra | (mantissa & 1) > 1 << 59 {
            mantissa += 1;
        }
        mantissa <<= 60 - shift;
        if mantissa & 1 << 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let mut fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    match precision {
        Some(precision) if precision < 15 => fraction.truncate(precision),
        Some(precision) => fraction.push_str(&"0".repeat(precision - 15)),
        None => fraction.truncate(fraction.trim_end_matches('0').len()),
    }
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let text = format!("0x{}{point}{fraction}p{sign}{:02}", mantissa >> 60 & 1, exponent.abs());
    if is_upper { text.to_uppercase() } else { text }
}
