package verifier

// ReadEvents is the parser of the stream, for its fuzz test.
var ReadEvents = readEvents
