"""The service's database: tables, migrations, stores."""
