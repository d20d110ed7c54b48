"""The wire: .proto files (etcd's v3 API, c101.agent.v1) and what ``make proto`` makes of them."""
