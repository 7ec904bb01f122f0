// Tails of distributions, and tests of changes, as report/src/diff/stats has them: rates of
// weight per exposure are overdispersed Poisson variables.

const CONFIDENCE = 0.95;
const FALSE_CHANGES = 0.05; // The share of these among what is called a change, at most.

const normalDensity = (z) => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);

// The probability that a standard normal variable exceeds `z`.
function normalTail(z) {
  if (z < 0) return 1 - normalTail(-z);
  if (z > 3) {
    let fraction = z;
    for (let k = 60; k > 0; k--) fraction = z + k / fraction;
    return normalDensity(z) / fraction;
  }
  let [term, sum] = [z, z];
  for (let k = 3; term > 1e-17 * sum; k += 2) sum += term *= (z * z) / k;
  return 0.5 - normalDensity(z) * sum;
}

// What it exceeds with probability `p`.
function normalQuantile(p) {
  if (p > 0.5) return -normalQuantile(1 - p);
  if (!(p > 0)) return Infinity;
  // Abramowitz & Stegun, 26.2.23, then two steps of Newton’s method.
  const t = Math.sqrt(-2 * Math.log(p));
  let z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (let step = 0; step < 2; step++) z += (normalTail(z) - p) / Math.max(normalDensity(z), Number.MIN_VALUE);
  return z;
}

// Lanczos’ approximation, g = 7.
const LANCZOS = [676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
function logGamma(x) {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const sum = LANCZOS.reduce((sum, factor, i) => sum + factor / (x + i), 0.99999999999980993);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(x + 6.5) - (x + 6.5) + Math.log(sum);
}

// The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22),
// evaluated by Lentz’s method.
function incompleteBeta(a, b, x) {
  if (x <= 0 || x >= 1) return x >= 1 ? 1 : 0;
  // Beyond, the other tail’s fraction converges faster.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(b, a, 1 - x);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - logGamma(a) - logGamma(b) + logGamma(a + b)) / a;
  const awayFrom0 = (number) => (Math.abs(number) < 1e-300 ? 1e-300 : number);
  let [c, d] = [1, 1 / awayFrom0(1 - ((a + b) * x) / (a + 1))];
  let fraction = d;
  for (let [m, change] = [1, 0]; m < 10_000 && Math.abs(change - 1) >= 1e-14; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    for (const step of [even, odd]) {
      d = 1 / awayFrom0(1 + step * d);
      c = awayFrom0(1 + step / c);
      change = c * d;
      fraction *= change;
    }
  }
  return Math.min(front * fraction, 1);
}

// The probability that a variable of Student’s distribution exceeds `t`.
function studentTail(t, degrees) {
  if (degrees > 1e6) return normalTail(t);
  const half = 0.5 * incompleteBeta(0.5 * degrees, 0.5, degrees / (degrees + t * t));
  return t >= 0 ? half : 1 - half;
}

// What it exceeds with probability `p`, below a half. The tail is convex, so that Newton’s
// method, from where the thinner tail of the normal distribution ends, never goes too far.
function studentQuantile(p, degrees) {
  let t = normalQuantile(p);
  if (degrees > 1e6) return t;
  const scale = Math.exp(logGamma(0.5 * (degrees + 1)) - logGamma(0.5 * degrees)) / Math.sqrt(degrees * Math.PI);
  for (let [i, step] = [0, Infinity]; i < 100 && Math.abs(step) > 1e-9 * Math.abs(t); i++) {
    step = (studentTail(t, degrees) - p) / (scale * (1 + (t * t) / degrees) ** (-0.5 * (degrees + 1)));
    t += step;
  }
  return t;
}

// The probability of at least `k` successes among `n` attempts that succeed with
// probability `p`. Neither number need be whole.
const binomialTail = (k, n, p) => (k <= 0 ? 1 : k > n ? 0 : incompleteBeta(k, n - k + 1, p));

// Weight per exposure of a side, of which the dispersion is the variance of the weight per
// unit of weight.
class Rate {
  constructor(weight, exposure, dispersion) {
    this.value = weight / exposure;
    this.count = weight / dispersion; // As how many independent events of equal weight it is.
    this.variance = dispersion / exposure; // Of the rate, per unit of rate.
  }
}

// How probable it is that equal rates differ by at least as much, on either side. Where the
// binomial distribution is normal, that is used.
function probabilityOf([a, b], degrees) {
  if (a.value === b.value) return 1;
  const all = a.count + b.count;
  const share = a.variance / (a.variance + b.variance);
  const variance = all * share * (1 - share);
  const z = variance > 2500 ? Math.abs(b.count - all * share) / Math.sqrt(variance)
    : normalQuantile(Math.min(binomialTail(b.count, all, share), binomialTail(a.count, all, 1 - share), 0.5));
  return Math.min(2 * studentTail(z, degrees), 1);
}

const quantiles = new Map(); // By degrees of freedom, which most intervals have the same of.

// The interval that has the true difference: from the limits of each rate (Wilson and
// Hilferty 1931) by Zou and Donner’s method (2008).
function intervalOf(rates, degrees) {
  if (!quantiles.has(degrees)) quantiles.set(degrees, studentQuantile((1 - CONFIDENCE) / 2, degrees));
  const z = quantiles.get(degrees);
  const [[lowA, highA], [lowB, highB]] = rates.map(({ value, count, variance }) => {
    const at = (count, z) => variance * count * Math.max(1 - 1 / (9 * count) + z / (3 * Math.sqrt(count)), 0) ** 3;
    return [count > 0 ? Math.min(at(count, -z), value) : 0, at(count + 1, z)];
  });
  const [a, b] = rates.map(({ value }) => value);
  return [b - a - Math.hypot(b - lowB, highA - a), b - a + Math.hypot(highB - b, a - lowA)];
}

// The largest probability that still counts as a discovery (Benjamini and Hochberg 1995);
// below 0 if none does.
function discoveryThreshold(probabilities) {
  const sorted = Float64Array.from(probabilities).sort();
  for (let rank = sorted.length; rank > 0; rank--) {
    if (sorted[rank - 1] <= (FALSE_CHANGES * rank) / sorted.length) return sorted[rank - 1];
  }
  return -1;
}
