<?php

// CSV to records: a JSON object on standard input, a JSON object on standard output.

declare(strict_types=1);

const DEFAULT_CSV = "city,country\nParis,France\n\"Washington, D.C.\",USA\n";

/**
 * The rows of a CSV text as RFC 4180 describes it; blank lines are skipped.
 *
 * @return list<list<string>>
 */
function rows(string $csv): array
{
    $stream = fopen('php://memory', 'w+');
    fwrite($stream, $csv);
    rewind($stream);
    $rows = [];
    while (($row = fgetcsv($stream, 0, ',', '"', '')) !== false) {
        if ($row !== [null]) {
            $rows[] = $row;
        }
    }
    return $rows;
}

/**
 * A record by column name; a short line leaves its last columns null, a long one loses what has no column.
 *
 * @return array<string, ?string>
 */
function record(array $columns, array $row): array
{
    return array_combine($columns, array_slice(array_pad($row, count($columns), null), 0, count($columns)));
}

$parameters = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
$name = (string) ($parameters['name'] ?? '');
$rows = rows($parameters['csv'] ?? DEFAULT_CSV);
$columns = array_shift($rows) ?? [];

echo json_encode([
    'greeting' => 'Hello, ' . ($name === '' ? 'world' : $name) . '!',
    'columns' => $columns,
    'records' => array_map(function (array $row) use ($columns) {
        return (object) record($columns, $row);
    }, $rows),
], JSON_THROW_ON_ERROR), "\n";
