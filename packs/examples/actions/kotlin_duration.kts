// Add durations: name='value' lines on standard input, a JSON object on standard output.

import kotlin.system.exitProcess
import kotlin.time.Duration

// A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
val parameter = Regex("""^([^=\n]+)='([^']*+(?:'\\''[^']*+)*+)'$""", RegexOption.MULTILINE)

// Leaves nothing but ASCII, so that the character set of the container does not matter.
fun jsonString(text: String) = text.asSequence().joinToString("", "\"", "\"") { c ->
    when {
        c == '"' || c == '\\' -> "\\$c"
        c < ' ' || c > '~' -> "\\u%04x".format(c.code)
        else -> c.toString()
    }
}

fun parse(text: String): Duration = Duration.parseOrNull(text.trim()) ?: run {
    System.err.println("invalid parameter: 'durations' must be like '1h 30m, 90s'; '${text.trim()}' is no duration")
    exitProcess(64)
}

val parameters = parameter.findAll(System.`in`.readBytes().decodeToString())
    .associate { it.groupValues[1] to it.groupValues[2].replace("'\\''", "'") }
val name = parameters["name"].orEmpty().ifEmpty { "world" }
val total = parameters.getOrDefault("durations", "1h 30m, 45m, 90s")
    .split(',')
    .map(::parse)
    .fold(Duration.ZERO, Duration::plus)

println(
    """{"greeting":${jsonString("Hello, $name!")},"total":${jsonString(total.toString())},""" +
        """"iso":${jsonString(total.toIsoString())},"seconds":${total.inWholeSeconds}}"""
)
