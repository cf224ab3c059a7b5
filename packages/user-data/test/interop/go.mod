module peerpod-tls.test/user-data-interop

go 1.23.0

require (
	github.com/pelletier/go-toml/v2 v2.2.4
	gopkg.in/yaml.v2 v2.4.0
	gopkg.in/yaml.v3 v3.0.1
)
