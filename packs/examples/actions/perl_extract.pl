#!/usr/bin/env perl

# Extraction by regular expressions: name='value' lines on standard input, a JSON object on standard output.
# Needs no module, because the smallest Perl installations have neither Encode nor JSON::PP.

use strict;
use warnings;

binmode STDIN,  ':utf8';
binmode STDOUT, ':utf8';

my %parameters = (
    name => 'world',
    text => 'Mail ada@example.org by 2024-02-29 or see https://example.org/help (room 42).',
    read_parameters(),
);
my $name = length $parameters{name} ? $parameters{name} : 'world';
my $text = $parameters{text};

my @emails  = $text =~ /[\w.+-]+@\w[\w-]*(?:\.\w[\w-]*)+/g;
my @links   = $text =~ m{https?://[^\s<>"']*[\w/]}g;
my @dates   = $text =~ /\b\d{4}-\d{2}-\d{2}\b/g;
my @numbers = $text =~ /(?<![\w.-])\d+(?![\w-]|\.\d)/g;

print '{"greeting":', json_string("Hello, $name!"),
    ',"emails":',  json_strings(@emails),
    ',"links":',   json_strings(@links),
    ',"dates":',   json_strings(@dates),
    ',"numbers":', json_strings(@numbers),
    "}\n";

# A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
sub read_parameters {
    my $input = do { local $/; <STDIN> };
    my %found;
    while ($input =~ /^([^=\n]+)='([^']*+(?:'\\''[^']*+)*+)'$/mg) {
        my ($key, $value) = ($1, $2);
        $value =~ s/'\\''/'/g;
        $found{$key} = $value;
    }
    return %found;
}

sub json_string {
    my ($string) = @_;
    $string =~ s/(["\\])/\\$1/g;
    $string =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    return qq{"$string"};
}

sub json_strings {
    return '[' . join(',', map { json_string($_) } @_) . ']';
}
