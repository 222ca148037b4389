"""Whether a name imitates another: names that many trust, and names that the project already uses."""

import re
from collections.abc import Iterable
from typing import Final

DISTANCE: Final = 2
SHORT: Final = 5
"""Names up to this length imitate another only by a single slip: short names are alike by chance."""

_NAMES: Final = """
aiohttp alembic altair anyio apscheduler arrow asyncpg attrs azure-core azure-identity babel bandit bcrypt
beautifulsoup4 black bokeh boto3 botocore cachetools celery certifi cffi chardet charset-normalizer click
cloudpickle colorama coverage cryptography cython dask datasets defusedxml distlib django django-rest-framework
djangorestframework dnspython docker docutils elasticsearch faker fastapi filelock flake8 flask frozenlist fsspec
gevent gitpython google-auth google-api-core google-cloud-storage grpcio gunicorn h11 httpcore httpx huggingface-hub
hypothesis idna importlib-metadata ipython isort itsdangerous jedi jinja2 jmespath joblib jsonschema jupyter keras
kubernetes langchain lightgbm lxml markdown markupsafe marshmallow matplotlib mccabe msgpack multidict mypy
mysqlclient nats-py networkx nltk nose notebook numba numpy oauthlib openai opencv-python openpyxl opentelemetry-api
opentelemetry-sdk orjson packaging pandas paramiko passlib pexpect pillow pip platformdirs playwright plotly pluggy
poetry polars pre-commit prometheus-client prompt-toolkit protobuf psutil psycopg psycopg2 psycopg2-binary pyarrow
pyasn1 pycparser pycryptodome pydantic pydantic-core pyflakes pygments pyinstaller pyjwt pylint pymongo pymysql
pynacl pyopenssl pyparsing pyright pyserial pytest pytest-asyncio pytest-cov pytest-mock pytest-xdist
python-dateutil python-dotenv python-multipart pytz pyyaml pyzmq redis regex requests requests-oauthlib rich ruff
s3transfer scikit-image scikit-learn scipy scrapy seaborn selenium sentry-sdk setuptools simplejson six sniffio
sphinx sqlalchemy starlette statsmodels streamlit sympy tabulate tenacity tensorflow tokenizers toml tomli torch
torchvision tornado tox tqdm transformers trio twine twisted typer typing-extensions tzdata ujson urllib3 uvicorn
uvloop virtualenv watchdog websocket-client websockets werkzeug wheel wrapt xgboost yarl zipp zstandard
angular async axios babel-core bluebird body-parser bootstrap chalk cheerio commander cookie-parser cors cross-env
cross-spawn css-loader debug dotenv electron esbuild eslint event-stream express fs-extra glob graphql gulp
handlebars helmet husky inquirer jest jquery jsdom jsonwebtoken karma koa lodash lodash-es mocha moment mongodb
mongoose mysql next nodemon node-fetch nuxt passport postcss prettier prisma prop-types puppeteer ramda react
react-dom react-router react-router-dom redux rimraf rollup rxjs sass semver sequelize sinon socket-io svelte
tailwindcss terser tslib typescript uglify-js underscore uuid vite vitest vue vuex webpack webpack-cli winston ws
yargs zod serde tokio clap anyhow rand regex hyper reqwest rails rake rspec nokogiri devise puma sinatra
"""
WELL_KNOWN: Final = frozenset(_NAMES.split())


def imitated(name: str, known: Iterable[str] = ()) -> str | None:
    """The known name that this one could be taken for; `None` if it is known itself or like none."""
    bare = _bare(name)
    others = {_bare(other): other for other in (*WELL_KNOWN, *known)}
    if bare in others:
        return None
    near = (
        (_distance(bare, other), whole) for other, whole in others.items() if abs(len(bare) - len(other)) <= DISTANCE
    )
    close = sorted((far, whole) for far, whole in near if far <= (1 if len(bare) <= SHORT else DISTANCE))
    return close[0][1] if close else None


def _bare(name: str) -> str:
    """As registries compare names, and without what tells families apart."""
    return re.sub(r"[-_.\s]+", "-", name).lower().strip("-")


def _distance(first: str, second: str) -> int:
    """Letters to insert, drop, replace or swap with their neighbour to make one of the other."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        older, before, row = before, row, [i]
        for j, other in enumerate(second, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]
