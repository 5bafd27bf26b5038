// Properties to JSON: a JSON object on standard input, a JSON object on standard output.

import groovy.json.JsonOutput
import groovy.json.JsonSlurper

final DEFAULT_TEXT = '# where to listen\nserver.host = localhost\nserver.port = 8080\n'

def parameters = new JsonSlurper().parseText(System.in.getText('UTF-8'))
def properties = new Properties()
properties.load(new StringReader(parameters.text ?: DEFAULT_TEXT))

// JsonOutput writes nothing but ASCII, so that the character set of the container does not matter.
println JsonOutput.toJson(
    greeting: "Hello, ${parameters.name ?: 'world'}!".toString(),
    properties: new TreeMap(properties)
)
