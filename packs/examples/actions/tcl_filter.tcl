# Filter lines: name='value' lines on standard input, a JSON object on standard output.

# JSON is UTF-8 whatever the locale of the container says.
fconfigure stdin -encoding utf-8 -translation lf
fconfigure stdout -encoding utf-8 -translation lf

# A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
proc read_parameters {channel} {
    set found [dict create]
    set pattern {^([^=\n]+)='((?:[^']|'\\'')*)'$}
    foreach {- key value} [regexp -all -inline -lineanchor $pattern [read $channel]] {
        dict set found $key [string map {'\\'' '} $value]
    }
    return $found
}

proc json_string {text} {
    set escapes [list \" \\\" \\ \\\\]
    for {set code 0} {$code < 32} {incr code} {
        lappend escapes [format %c $code] [format \\u%04x $code]
    }
    return "\"[string map $escapes $text]\""
}

proc json_strings {texts} {
    set items [list]
    foreach text $texts {
        lappend items [json_string $text]
    }
    return "\[[join $items ,]\]"
}

set defaults [dict create \
    name world \
    text "error: disk full\nnotice: rotated\nerror: no route\n" \
    pattern error:*]
set parameters [dict merge $defaults [read_parameters stdin]]

set name [dict get $parameters name]
if {$name eq ""} {
    set name world
}
set lines [split [string trimright [dict get $parameters text] \n] \n]
set matches [lsearch -all -inline -glob $lines [dict get $parameters pattern]]

puts [format {{"greeting":%s,"lines":%d,"matches":%s}} \
    [json_string "Hello, $name!"] [llength $lines] [json_strings $matches]]
