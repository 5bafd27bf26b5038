# Size of a subnet: a JSON object in a file, a JSON object on standard output.
# By file, because PowerShell reads standard input for itself.

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function ConvertTo-Number([ipaddress] $Address) {
    $bytes = $Address.GetAddressBytes()
    [Array]::Reverse($bytes)
    [BitConverter]::ToUInt32($bytes, 0)
}

function ConvertTo-Address([uint32] $Number) {
    $bytes = [BitConverter]::GetBytes($Number)
    [Array]::Reverse($bytes)
    [ipaddress]::new($bytes).ToString()
}

$parameters = Get-Content -Raw -Encoding utf8 -LiteralPath $env:ATTUNE_PARAMETER_FILE | ConvertFrom-Json -AsHashtable
$name = if ($parameters['name']) { $parameters['name'] } else { 'world' }
$subnet = if ($parameters['subnet']) { $parameters['subnet'] } else { '192.0.2.0/24' }

if ($subnet -notmatch '^((?:\d{1,3}\.){3}\d{1,3})/(\d|[12]\d|3[0-2])$' -or -not ($Matches[1] -as [ipaddress])) {
    [Console]::Error.WriteLine("invalid parameter: 'subnet' must be like 192.0.2.0/24; it is '$subnet'")
    exit 64
}
$address = ConvertTo-Number $Matches[1]
$size = [uint64] 1 -shl (32 - [int] $Matches[2])
$first = $address - $address % $size

[ordered]@{
    greeting  = "Hello, $name!"
    first     = ConvertTo-Address $first
    last      = ConvertTo-Address ($first + $size - 1)
    addresses = $size
} | ConvertTo-Json -Compress -EscapeHandling EscapeNonAscii
