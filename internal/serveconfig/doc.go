// Package serveconfig is what unio serve is told: a [Config], read from a TOML
// file and from flags, and checked. What is wrong with it is said for each
// setting, with file and line, or the flag, and what to write instead.
package serveconfig
