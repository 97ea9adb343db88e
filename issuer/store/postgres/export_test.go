package postgres

// OpenWithin is Open with another longest life of a batch and of a View.
var OpenWithin = open
