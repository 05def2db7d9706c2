// The projection of web maps: the world is a square of side 1.

const MOST = 85.0511;

export function project(latitude, longitude) {
  const phi = (Math.max(-MOST, Math.min(MOST, latitude)) * Math.PI) / 180;
  return {
    x: (longitude + 180) / 360,
    y: (1 - Math.log(Math.tan(phi) + 1 / Math.cos(phi)) / Math.PI) / 2,
  };
}

export function unproject(x, y) {
  return {
    latitude: (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI,
    longitude: x * 360 - 180,
  };
}

/** Degrees between grid lines so that there are about `wished` in `span`. */
export function gridStep(span, wished) {
  const steps = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 45];
  return steps.find((step) => span / step <= wished) ?? 90;
}
