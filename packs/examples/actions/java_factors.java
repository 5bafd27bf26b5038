import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Prime factors: name='value' lines on standard input, a JSON object on standard output. Runs on Java 11 and later. */
class JavaFactors {
    /** A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines. */
    private static final Pattern PARAMETER =
            Pattern.compile("^([^=\n]+)='([^']*+(?:'\\\\''[^']*+)*+)'$", Pattern.MULTILINE);

    public static void main(String[] arguments) throws IOException {
        Map<String, String> parameters = readParameters();
        String name = parameters.getOrDefault("name", "");
        long number = wholeNumber(parameters.getOrDefault("number", "360360"));
        List<Long> factors = primeFactors(number);

        System.out.printf(
                "{\"greeting\":%s,\"number\":%d,\"factors\":%s,\"prime\":%b}%n",
                jsonString("Hello, " + (name.isEmpty() ? "world" : name) + "!"),
                number,
                factors,
                factors.size() == 1);
    }

    private static Map<String, String> readParameters() throws IOException {
        Map<String, String> parameters = new HashMap<>();
        Matcher matcher = PARAMETER.matcher(new String(System.in.readAllBytes(), StandardCharsets.UTF_8));
        while (matcher.find()) {
            parameters.put(matcher.group(1), matcher.group(2).replace("'\\''", "'"));
        }
        return parameters;
    }

    private static long wholeNumber(String text) {
        try {
            long number = Long.parseLong(text);
            if (number >= 2) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Falls through to the same message: both are the caller's mistake.
        }
        System.err.printf("invalid parameter: 'number' must be a whole number of at least 2; it is '%s'%n", text);
        System.exit(64);
        throw new AssertionError();
    }

    private static List<Long> primeFactors(long number) {
        List<Long> factors = new ArrayList<>();
        for (long divisor = 2; divisor <= number / divisor; divisor++) {
            for (; number % divisor == 0; number /= divisor) {
                factors.add(divisor);
            }
        }
        if (number > 1) {
            factors.add(number);
        }
        return factors;
    }

    /** Leaves nothing but ASCII, so that the character set of the container does not matter. */
    private static String jsonString(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        return json.append('"').toString();
    }
}
