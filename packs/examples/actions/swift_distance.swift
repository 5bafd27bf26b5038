// Distance on Earth: a JSON object on standard input, a JSON object on standard output.

import Foundation

struct Parameters: Decodable {
    var name: String?
    var from: [Double]?
    var to: [Double]?
}

struct Answer: Encodable {
    let greeting: String
    let kilometres: Double
}

struct Place {
    let latitude: Double
    let longitude: Double

    /// A place from its latitude and longitude in degrees.
    init?(_ degrees: [Double]) {
        guard degrees.count == 2, abs(degrees[0]) <= 90, abs(degrees[1]) <= 180 else { return nil }
        latitude = degrees[0] * .pi / 180
        longitude = degrees[1] * .pi / 180
    }

    /// The great-circle distance by the haversine formula, which stays exact for places close to each other.
    func kilometres(to other: Place) -> Double {
        let meanRadius = 6371.0088
        let a = pow(sin((other.latitude - latitude) / 2), 2)
            + cos(latitude) * cos(other.latitude) * pow(sin((other.longitude - longitude) / 2), 2)
        return 2 * meanRadius * asin(min(1, a.squareRoot()))
    }
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("\(message)\n".utf8))
    exit(64)
}

let input = FileHandle.standardInput.readDataToEndOfFile()
let parameters = try JSONDecoder().decode(Parameters.self, from: input)
let name = parameters.name ?? ""

guard let from = Place(parameters.from ?? [52.52, 13.405]), let to = Place(parameters.to ?? [48.8566, 2.3522]) else {
    fail("invalid parameter: 'from' and 'to' must be a latitude and a longitude in degrees")
}

let answer = Answer(
    greeting: "Hello, \(name.isEmpty ? "world" : name)!",
    kilometres: (from.kilometres(to: to) * 10).rounded() / 10
)
let encoder = JSONEncoder()
encoder.outputFormatting = .sortedKeys
FileHandle.standardOutput.write(try encoder.encode(answer) + Data("\n".utf8))
