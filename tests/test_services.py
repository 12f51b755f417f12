"""The servers that other tests lean on answer, each test with a database or bucket of its own."""

import io

import pytest
import sqlalchemy as sa

from tests.services import S3, s3_client

pytestmark = pytest.mark.services


def test_postgres_answers_and_the_database_is_empty(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("create table seen (n int)"))
        assert connection.execute(sa.text("select count(*) from seen")).scalar_one() == 0
    engine.dispose()


def test_the_next_test_does_not_see_what_the_last_one_made(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_postgres_refuses_a_wrong_password(postgres_url: str) -> None:
    url = sa.make_url(postgres_url).set(password="wrong")
    with pytest.raises(sa.exc.OperationalError, match="password authentication failed"):
        sa.create_engine(url).connect()


def test_s3_gives_back_what_was_put(s3: S3) -> None:
    client = s3_client(s3)
    client.put_object(Bucket=s3.bucket, Key="a/b", Body=io.BytesIO(b"bytes"))
    assert client.get_object(Bucket=s3.bucket, Key="a/b")["Body"].read() == b"bytes"
    assert [o["Key"] for o in client.list_objects_v2(Bucket=s3.bucket)["Contents"]] == ["a/b"]


def test_s3_is_reached_by_pyarrow_which_the_lake_uses(s3: S3) -> None:
    from pyarrow import fs

    files = fs.S3FileSystem(
        access_key=s3.key, secret_key=s3.secret, endpoint_override=s3.endpoint, region=s3.region
    )
    with files.open_output_stream(f"{s3.bucket}/x") as out:
        out.write(b"12345")
    assert files.get_file_info(f"{s3.bucket}/x").size == 5


def test_s3_refuses_a_wrong_secret(s3: S3) -> None:
    from dataclasses import replace

    from botocore.exceptions import ClientError

    with pytest.raises(ClientError):
        s3_client(replace(s3, secret="wrong")).list_objects_v2(Bucket=s3.bucket)
