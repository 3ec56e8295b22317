"""Names: each person goes by several, and who turns out to be known already is merged."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "identities",
        Column("name", sa.String(), nullable=False),
        Column("person_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("ix_identities_person_id", "identities", ["person_id"])
    op.create_table(
        "merges",
        Column("absorbed_id", ID, autoincrement=False, nullable=False),
        Column("into_id", ID, nullable=False),
        Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["into_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("absorbed_id"),
    )
    op.create_index("ix_merges_into_id", "merges", ["into_id"])
    op.create_index("ix_people_phone", "people", ["phone"])
    op.add_column("events", Column("met_as", ID, nullable=True))
    op.add_column("runs", Column("met_as", ID, nullable=True))
    op.execute("INSERT INTO identities (name, person_id) SELECT user_id, id FROM people")
