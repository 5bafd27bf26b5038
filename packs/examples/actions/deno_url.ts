// Parts of an address: a JSON object on standard input, a JSON object on standard output. Needs no permission.

interface Parameters {
  name?: string;
  url?: string;
}

const DEFAULT_URL = "https://example.org:8443/search?q=attune&page=2#results";

/** The query parameters by name; a name may occur more than once. */
function query(search: URLSearchParams): Record<string, string[]> {
  return Object.fromEntries([...search.keys()].map((key) => [key, search.getAll(key)]));
}

function parse(text: string): URL {
  try {
    return new URL(text);
  } catch {
    console.error(`invalid parameter: 'url' must be an absolute URL; it is '${text}'`);
    Deno.exit(64);
  }
}

const parameters: Parameters = await new Response(Deno.stdin.readable).json();
const url = parse(parameters.url ?? DEFAULT_URL);

console.log(JSON.stringify({
  greeting: `Hello, ${parameters.name || "world"}!`,
  protocol: url.protocol.replace(/:$/, ""),
  host: url.hostname,
  port: url.port === "" ? null : Number(url.port),
  path: url.pathname,
  query: query(url.searchParams),
  fragment: url.hash.replace(/^#/, ""),
}));
