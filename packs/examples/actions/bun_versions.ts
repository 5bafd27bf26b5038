// Sort versions: a JSON object on standard input, a JSON object on standard output.

interface Parameters {
  name?: string;
  versions?: string[];
  range?: string;
}

const { name, versions = ["1.2.0", "1.10.3", "2.0.0-rc.1", "1.9.8"], range = "^1.9.0" }: Parameters =
  await Bun.stdin.json();
const sorted = [...versions].sort((a, b) => Bun.semver.order(b, a));

console.log(JSON.stringify({
  greeting: `Hello, ${name || "world"}!`,
  sorted,
  allowed: sorted.filter((version) => Bun.semver.satisfies(version, range)),
}));
