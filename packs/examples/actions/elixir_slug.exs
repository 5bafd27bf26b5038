# Slug of a title: name='value' lines on standard input, a JSON object on standard output.

defmodule Dotenv do
  @moduledoc "Parameters as the worker writes them: one `name='value'` each."

  def parse(text, found \\ %{}) do
    case String.split(text, "='", parts: 2) do
      [key, rest] ->
        {value, others} = value(rest, "")
        parse(others, Map.put(found, String.trim(key), value))

      [_blank] ->
        found
    end
  end

  # A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
  defp value("'\\''" <> rest, value), do: value(rest, value <> "'")
  defp value("'" <> rest, value), do: {value, rest}
  defp value(<<byte, rest::binary>>, value), do: value(rest, <<value::binary, byte>>)
end

defmodule Json do
  @moduledoc "Just enough JSON for the result; Elixir has its own `JSON` only from 1.18."

  def string(text), do: ~s("#{for <<byte <- text>>, into: "", do: escape(byte)}")

  defp escape(byte) when byte in [?", ?\\], do: <<?\\, byte>>
  defp escape(byte) when byte < ?\s, do: "\\u" <> String.pad_leading(Integer.to_string(byte, 16), 4, "0")
  defp escape(byte), do: <<byte>>
end

defmodule Slug do
  def words(title) do
    title
    # Takes accented letters apart, so that the accents can be left behind.
    |> String.normalize(:nfd)
    |> String.replace(~r/\p{Mn}/u, "")
    |> String.downcase()
    |> String.split(~r/[^\p{L}\p{N}]+/u, trim: true)
  end
end

parameters = :stdio |> IO.stream(:line) |> Enum.join() |> Dotenv.parse()

name =
  case parameters do
    %{"name" => name} when name != "" -> name
    _ -> "world"
  end

words = parameters |> Map.get("title", "Crème brûlée: a how-to") |> Slug.words()

IO.puts([
  ~s({"greeting":),
  Json.string("Hello, #{name}!"),
  ~s(,"slug":),
  words |> Enum.join("-") |> Json.string(),
  ~s(,"words":#{length(words)}})
])
