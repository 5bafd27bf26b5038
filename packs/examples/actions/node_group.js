'use strict';

// Sorts and groups: a JSON object on standard input, a JSON object on standard output.

const fs = require('fs');

const DEFAULT_ITEMS = ['cherry', 'apple', 'blueberry', 'banana', 'avocado'];
const STDIN = 0;

/** The items by their upper-case first letter; the order of the items is kept. */
function groupByInitial(items) {
  const groups = new Map();
  for (const item of items) {
    const [first = ''] = item; // iterates by code point, so a surrogate pair stays whole
    const initial = first.toUpperCase();
    groups.set(initial, [...(groups.get(initial) ?? []), item]);
  }
  return Object.fromEntries(groups);
}

const { name, items = DEFAULT_ITEMS } = JSON.parse(fs.readFileSync(STDIN, 'utf8'));
const sorted = items.map(String).sort((a, b) => a.localeCompare(b));

console.log(JSON.stringify({
  greeting: `Hello, ${name || 'world'}!`,
  sorted,
  groups: groupByInitial(sorted),
}));
