// Check brackets: name='value' lines on standard input, a JSON object on standard output. Runs on Scala 2 and 3.

import java.nio.charset.StandardCharsets.UTF_8

object ScalaBrackets {
  // A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
  private val Parameter = """(?m)^([^=\n]+)='([^']*+(?:'\\''[^']*+)*+)'$""".r

  private val Partner = Map(')' -> '(', ']' -> '[', '}' -> '{')

  /** What is open at some place in the text, innermost first, and how deep it has been. */
  private case class State(open: List[(Char, Int)] = Nil, depth: Int = 0, wrong: Option[Int] = None) {
    def next(character: Char, position: Int): State =
      if (wrong.nonEmpty) this
      else if (Partner.values.exists(_ == character))
        copy(open = (character, position) :: open, depth = depth.max(open.length + 1))
      else
        Partner.get(character).fold(this) { partner =>
          open match {
            case (`partner`, _) :: rest => copy(open = rest)
            case _                      => copy(wrong = Some(position))
          }
        }

    /** The first bracket without its partner: one that closes nothing, or the outermost that stayed open. */
    def unpaired: Option[Int] = wrong.orElse(open.lastOption.map(_._2))
  }

  private def readParameters(): Map[String, String] = {
    val input = new String(Iterator.continually(System.in.read()).takeWhile(_ >= 0).map(_.toByte).toArray, UTF_8)
    Parameter.findAllMatchIn(input).map(found => found.group(1) -> found.group(2).replace("'\\''", "'")).toMap
  }

  /** Leaves nothing but ASCII, so that the character set of the container does not matter. */
  private def jsonString(text: String): String =
    text.map {
      case c @ ('"' | '\\')         => s"\\$c"
      case c if c < ' ' || c > '~' => "\\u%04x".format(c.toInt)
      case c                        => c.toString
    }.mkString("\"", "", "\"")

  def main(arguments: Array[String]): Unit = {
    val parameters = readParameters()
    val name = parameters.get("name").filter(_.nonEmpty).getOrElse("world")
    val text = parameters.getOrElse("text", "f(a[1], {b: (c)})")
    val end = text.zipWithIndex.foldLeft(State()) { case (state, (character, position)) =>
      state.next(character, position)
    }

    println(
      s"""{"greeting":${jsonString(s"Hello, $name!")},"balanced":${end.unpaired.isEmpty},""" +
        s""""depth":${end.depth},"position":${end.unpaired.fold("null")(_.toString)}}"""
    )
  }
}
