module github.com/counterfoil/counterfoil/bench

go 1.26.0

require github.com/counterfoil/counterfoil v0.0.0

require github.com/go-json-experiment/json v1.27.2 // indirect

replace github.com/counterfoil/counterfoil => ../
